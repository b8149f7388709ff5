"""What recipients do with the real service, from their first mail on: install, prove, refuse, be unknown."""

import http.client
import re
import smtplib
import socket
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12

from tests.gateways import call, look_up
from tests.postbox import Postbox, postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

_LINK = re.compile(r"http://127\.0\.0\.1:\d+/install/[a-z0-9/]+")


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A service whose recipients' pages can be reached, and the mailboxes of the world."""

    running: Running
    mail: Postbox

    def enrolment(self) -> dict[str, str]:
        """Return the only enrolment, as a registration agent sees it."""
        token = self.running.installed.agent_token
        status, listed = call(self.running, "GET", "/api/v1/enrolments", token=token)
        assert status == 200
        (enrolment,) = listed["enrolments"]
        return dict(enrolment)

    def status(self, enrolment_id: str) -> dict[str, str]:
        token = self.running.installed.agent_token
        status, document = call(self.running, "GET", f"/api/v1/enrolments/{enrolment_id}", token=token)
        assert status == 200
        return dict(document)

    def password(self, enrolment_id: str) -> str:
        path = f"/api/v1/enrolments/{enrolment_id}/password/reveal"
        token = self.running.installed.agent_token
        status, revealed = call(self.running, "POST", path, token=token, body={})
        assert status == 200
        return str(revealed["password"])

    def verify(self) -> None:
        assert succeed("verify", "--config", str(self.running.installed.config)) == {"violations": []}


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    port = a_free_port()
    with postbox() as mail:
        installed = install(tmp_path_factory.mktemp("recipients") / "pushpki", smtp=mail.smtp)
        variables = {
            **UNHURRIED,
            "PUSHPKI_CA__KEY_POOL_SIZE": "2",
            "PUSHPKI_DELIVERY__POLL_SECONDS": "0.2",
            "PUSHPKI_HTTP__LISTEN": f"127.0.0.1:{port}",
            "PUSHPKI_PAGES__URL": f"http://127.0.0.1:{port}",
            "PUSHPKI_BOUNCES__LISTEN": "127.0.0.1:0",
        }
        _set_up(installed, variables["PUSHPKI_PAGES__URL"])
        with serving(installed, variables=variables) as running:
            yield Stage(running=running, mail=mail)


def _set_up(installed: Installed, pages: str) -> None:
    text = installed.config.read_text(encoding="utf-8")
    installed.config.write_text(f'{text}\n[pages]\nurl = "{pages}"\n', encoding="utf-8")
    succeed(
        *("org", "set", "hospital", "--key-delivery", "both", "--notices-to", "help@hospital.org"),
        *("--config", str(installed.config)),
    )


def an_address() -> str:
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def fetch(
    method: str, url: str, *, form: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    try:
        connection.request(
            method, f"{parts.path}?{parts.query}", body=urlencode(form) if form else None, headers=headers
        )
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def words(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def link_to(page: str, text: str) -> str:
    """Return the one link of a mail that leads to such a page."""
    kinds = {"prove": "/install/prove/", "stop": "/install/stop/"}
    links: set[str] = {
        link
        for link in _LINK.findall(text)
        if (page in kinds and kinds[page] in link)
        or (page == "install" and not any(kind in link for kind in kinds.values()))
    }
    assert len(links) == 1
    return links.pop()


def confirm(link: str) -> tuple[int, bytes]:
    """Press the button of a page that asks for a confirmation."""
    _, _, page = fetch("GET", link)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.decode()))
    status, _, answer = fetch("POST", link, form=fields)
    return status, answer


def decrypted(message: EmailMessage, certificate: x509.Certificate, key: RSAPrivateKey) -> EmailMessage:
    inner = pkcs7.pkcs7_decrypt_der(message.get_content(), certificate, key, [])
    return message_from_bytes(inner, policy=policy.default)


def opened(package: bytes, password: str) -> tuple[RSAPrivateKey, x509.Certificate]:
    key, certificate, _ = pkcs12.load_key_and_certificates(package, password.encode())
    assert isinstance(key, RSAPrivateKey)
    assert certificate is not None
    return key, certificate


def test_a_recipient_fetches_his_key_and_proves_it(stage: Stage) -> None:
    address = an_address()
    (served,) = look_up(stage.running, address)

    # The key mail: attached, and to be had by a link.
    key_mail = stage.mail.message_to(address)
    (attachment,) = key_mail.iter_attachments()
    enrolment_id = stage.enrolment()["enrolment_id"]
    password = stage.password(enrolment_id)
    install_page = link_to("install", words(key_mail))
    status, headers, page = fetch("GET", install_page)
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert b"encryption-key.p12" in page
    downloads = [
        fetch("GET", f"{install_page}/key.p12?format={package_format}")
        for package_format in ("compatible", "modern")
    ]
    key, certificate = opened(attachment.get_content(), password)
    for package in (attachment.get_content(), *(content for _, _, content in downloads)):
        key, certificate = opened(package, password)
        assert certificate.public_bytes(Encoding.DER) == served
        assert key.public_key() == certificate.public_key()

    # The proof: only the key opens the mail, and only the button proves it.
    proof_mail = stage.mail.message_to(address)
    assert b"/install/prove/" not in stage.mail.raw[-1]
    prove_page = link_to("prove", words(decrypted(proof_mail, certificate, key)))
    for method in ("GET", "HEAD", "GET"):
        assert fetch(method, prove_page)[0] == 200
    fetch("POST", prove_page, form={"token": "x"})
    assert stage.status(enrolment_id)["delivery"] == "accepted"
    assert confirm(prove_page)[0] == 200
    assert stage.status(enrolment_id)["delivery"] == "proven"
    assert look_up(stage.running, address) == [served]
    stage.verify()


def test_a_recipient_gets_the_next_key_and_reads_with_both(stage: Stage) -> None:
    address = an_address()
    (first,) = look_up(stage.running, address)
    old = received(stage, address, stage.enrolment()["enrolment_id"])
    confirm(link_to("prove", words(decrypted(stage.mail.message_to(address), *old))))

    config = str(stage.running.installed.config)
    as_if_it_were_a_week_ago(stage)
    renewed = succeed("renew", address, "--anyway", "--config", config)["enrolment_id"]

    # The old certificate is served until the new key is proven; then the new one, and the old one behind it.
    new = received(stage, address, renewed, subject="Your next key for encrypted mail from City Hospital")
    assert look_up(stage.running, address) == [first]
    assert stage.status(renewed)["place"] == "waiting"
    test_mail = stage.mail.message_to(address)
    assert confirm(link_to("prove", words(decrypted(test_mail, *new))))[0] == 200
    assert stage.status(renewed)["place"] == "leading"
    assert stage.status(str(stage.status(renewed)["renews"]))["renewed_by"] == renewed
    second = new[0].public_bytes(Encoding.DER)
    assert both_are_served(stage.running, address, [second, first])

    # Each opens what was encrypted for it.
    for certificate, key in (old, new):
        enveloped = (
            pkcs7.PKCS7EnvelopeBuilder()
            .set_data(b"confidential")
            .add_recipient(certificate)
            .encrypt(Encoding.DER, [])
        )
        assert pkcs7.pkcs7_decrypt_der(enveloped, certificate, key, []) == b"confidential"
    stage.verify()


def as_if_it_were_a_week_ago(stage: Stage) -> None:
    """Make room for further mails: nobody gets a fourth within a week."""
    connection = sqlite3.connect(stage.running.installed.folder / "pushpki.sqlite3", timeout=30)
    with connection:
        connection.execute("UPDATE outgoing_mail SET created_at = datetime(created_at, '-8 days')")
    connection.close()


def received(
    stage: Stage, address: str, enrolment_id: str, *, subject: str | None = None
) -> tuple[x509.Certificate, RSAPrivateKey]:
    """Have the next key mail, and the password that belongs to it."""
    key_mail = stage.mail.message_to(address)
    assert subject in {None, key_mail["Subject"]}
    (attachment,) = key_mail.iter_attachments()
    key, certificate = opened(attachment.get_content(), stage.password(enrolment_id))
    return certificate, key


def both_are_served(running: Running, address: str, wanted: list[bytes]) -> bool:
    """Ask until that is answered; what was answered from memory may be for five seconds more."""
    while look_up(running, address) != wanted:
        continue
    return True


def test_a_recipient_who_wants_no_mail_gets_none(stage: Stage) -> None:
    address = an_address()
    assert len(look_up(stage.running, address)) == 1
    stop_page = link_to("stop", words(stage.mail.message_to(address)))

    assert fetch("GET", stop_page)[0] == 200
    assert len(look_up(stage.running, address)) == 1
    assert confirm(stop_page)[0] == 200

    # Nobody knows whether he has the key: his certificate leaves the directory, and none is made again.
    assert gone(stage.running, address)
    status, problem = call(
        stage.running,
        "POST",
        "/api/v1/lookup",
        token=stage.running.installed.gateway_token,
        body={"email": address},
    )
    assert (status, problem["code"]) == (404, "policy.suppressed")
    stage.verify()


def test_a_mailbox_that_does_not_exist_takes_its_certificate_with_it(stage: Stage) -> None:
    address = an_address()
    assert len(look_up(stage.running, address)) == 1
    key_mail = stage.mail.message_to(address)
    return_path = stage.mail.return_paths[key_mail["Message-ID"]]

    with smtplib.LMTP("127.0.0.1", stage.running.ports["bounces"]) as lmtp:
        lmtp.sendmail("", [return_path], a_bounce(return_path, address))

    assert gone(stage.running, address)
    assert stage.enrolment()["delivery"] == "bounced"
    notice = stage.mail.message_to("help@hospital.org")
    assert address in words(notice)
    stage.verify()


def gone(running: Running, address: str) -> bool:
    """Ask until nothing is answered; what was answered from memory may be for five seconds more."""
    while look_up(running, address):
        continue
    return True


def a_bounce(return_path: str, address: str) -> bytes:
    lines = f"""From: MAILER-DAEMON@mx.example.com
To: {return_path}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The mail could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
"""
    return lines.replace("\n", "\r\n").encode()
