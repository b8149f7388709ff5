"""Addresses beyond ASCII with openssl: their names are shown, and what is encrypted to them opens."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateways import call, look_up
from tests.interop.programs import as_gateway, entries, ldapsearch, run
from tests.postbox import Postbox, postbox
from tests.service import SUFFIX, UNHURRIED, Running, install, serving

Find = Callable[[str], str]
ENTITY = "Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße.\r\n".encode()
CERTIFICATE = "userCertificate;binary"


@pytest.fixture(scope="module")
def international_mail() -> Iterator[Postbox]:
    with postbox(offers_smtputf8=True) as box:
        yield box


@pytest.fixture(scope="module")
def international(tmp_path_factory: pytest.TempPathFactory, international_mail: Postbox) -> Iterator[Running]:
    installed = install(tmp_path_factory.mktemp("international") / "pushpki", smtp=international_mail.smtp)
    variables = {**UNHURRIED, "PUSHPKI_CA__INTERNATIONAL_LOCAL_PARTS": "true"}
    with serving(installed, variables=variables) as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="international-") as name:
        yield Path(name)


@pytest.fixture(params=["jörg", "用户"])
def address(request: pytest.FixtureRequest) -> str:
    return f"{request.param}{uuid.uuid4().hex[:8]}@example.com"


def password_for(running: Running, address: str) -> bytes:
    token = running.installed.agent_token
    _, listed = call(running, "GET", "/api/v1/enrolments", token=token)
    (enrolment,) = [one for one in listed["enrolments"] if one["address"] == address]
    reveal = f"/api/v1/enrolments/{enrolment['enrolment_id']}/password/reveal"
    _, revealed = call(running, "POST", reveal, token=token, body={})
    return str(revealed["password"]).encode()


def test_openssl_shows_the_name_and_opens_what_it_has_encrypted(
    program: Find, international: Running, international_mail: Postbox, folder: Path, address: str
) -> None:
    openssl = program("openssl")
    der, pem, key = folder / "certificate.der", folder / "certificate.pem", folder / "key.pem"
    (certificate,) = look_up(international, address)
    der.write_bytes(certificate)
    run([openssl, "x509", "-inform", "DER", "-in", str(der), "-out", str(pem)])
    shown = run([openssl, "x509", "-in", str(pem), "-noout", "-ext", "subjectAltName"])
    assert shown.returncode == 0, shown.stderr
    assert f"othername: SmtpUTF8Mailbox::{address}".encode() in shown.stdout

    (attachment,) = international_mail.message_to(address).iter_attachments()
    (folder / "key.p12").write_bytes(attachment.get_content())
    taken_out = run(
        [
            *(openssl, "pkcs12", "-in", str(folder / "key.p12"), "-legacy"),
            *("-nocerts", "-noenc", "-passin", "stdin", "-out", str(key)),
        ],
        data=password_for(international, address),
    )
    assert taken_out.returncode == 0, taken_out.stderr

    encrypted = run([openssl, "cms", "-encrypt", "-aes256", "-binary", str(pem)], data=ENTITY)
    assert encrypted.returncode == 0, encrypted.stderr
    opened = run([openssl, "cms", "-decrypt", "-inkey", str(key), "-recip", str(pem)], data=encrypted.stdout)
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout == ENTITY


def test_openssl_verifies_the_address_by_this_name_and_by_no_other(
    program: Find, international: Running, folder: Path, address: str
) -> None:
    openssl = program("openssl")
    leaf = folder / "certificate.pem"
    (certificate,) = look_up(international, address)
    (folder / "certificate.der").write_bytes(certificate)
    run([openssl, "x509", "-inform", "DER", "-in", str(folder / "certificate.der"), "-out", str(leaf)])

    def checked(email: str) -> bytes:
        return run(
            [openssl, "verify", "-partial_chain", "-trusted", str(leaf), "-verify_email", email, str(leaf)]
        ).stdout

    assert b"OK" in checked(address)
    assert b"OK" not in checked(f"other{address}")
    assert b"OK" not in checked(address.encode("ascii", "ignore").decode())


def test_ldapsearch_finds_it_by_its_octets(program: Find, international: Running, address: str) -> None:
    asked = ("-H", international.ldap, *as_gateway(international), "-b", SUFFIX)
    done = ldapsearch(program("ldapsearch"), *asked, f"(mail={address})", "mail", CERTIFICATE)
    assert done.returncode == 0, done.stderr
    (entry,) = entries(done.stdout)
    assert entry["mail"] == [address.encode()]

    escaped = "".join(f"\\{octet:02x}" for octet in address.encode())
    done = ldapsearch(program("ldapsearch"), *asked, f"(mail={escaped})", CERTIFICATE)
    (again,) = entries(done.stdout)
    assert again[CERTIFICATE] == entry[CERTIFICATE]
