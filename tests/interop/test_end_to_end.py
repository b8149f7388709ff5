"""The main job with nothing of ours on the other side: ldapsearch, SMTP, curl, openssl."""

import json
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.interop.programs import CERTIFICATE, as_gateway, entries, ldapsearch, run
from tests.postbox import Postbox
from tests.service import SUFFIX, Running, succeed

Find = Callable[[str], str]


def curl(find: Find, service: Running, token: str, path: str, *arguments: str) -> dict[str, object]:
    # The token goes through standard input: a command line is public.
    done = run(
        [find("curl"), "-s", "--fail-with-body", "-H", "@-", *arguments, f"{service.http}{path}"],
        data=f"Authorization: Bearer {token}\nContent-Type: application/json\n".encode(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def the_enrolment(find: Find, service: Running, address: str) -> str:
    listed = curl(find, service, service.installed.agent_token, "/api/v1/enrolments")
    enrolments = listed["enrolments"]
    assert isinstance(enrolments, list)
    (mine,) = [one["enrolment_id"] for one in enrolments if one["address"] == address]
    return str(mine)


def test_a_mail_to_a_stranger_is_encrypted_now_and_decrypted_with_what_arrives(
    program: Find, service: Running, mail: Postbox, tmp_path: Path
) -> None:
    openssl = program("openssl")
    stranger = f"stranger.{uuid.uuid4().hex[:8]}@example.org"
    letter = b"Content-Type: text/plain\r\n\r\n" + secrets.token_hex(2000).encode() + b"\r\n"

    # The gateway looks up and encrypts.
    done = ldapsearch(
        program("ldapsearch"),
        *("-H", service.ldap, *as_gateway(service), "-b", SUFFIX, f"(mail={stranger})", CERTIFICATE),
    )
    (entry,) = entries(done.stdout)
    (tmp_path / "cert.der").write_bytes(entry[CERTIFICATE][0])
    (tmp_path / "letter").write_bytes(letter)
    encrypted = run(
        [
            *(openssl, "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER"),
            *(
                "-in",
                str(tmp_path / "letter"),
                "-out",
                str(tmp_path / "letter.p7m"),
                str(tmp_path / "cert.der"),
            ),
        ]
    )
    assert encrypted.returncode == 0, encrypted.stderr

    # The key mail arrives; the agent relays the password.
    message = mail.message_to(stranger)
    (package,) = [part for part in message.iter_attachments() if (part.get_filename() or "").endswith(".p12")]
    (tmp_path / "key.p12").write_bytes(package.get_content())
    enrolment_id = the_enrolment(program, service, stranger)
    revealed = curl(
        program,
        service,
        service.installed.agent_token,
        f"/api/v1/enrolments/{enrolment_id}/password/reveal",
        *("-d", "{}"),
    )

    # The recipient opens the key package and decrypts.
    (tmp_path / "password").write_text(str(revealed["password"]), encoding="ascii")
    opened = run(
        [
            *(openssl, "pkcs12", "-in", str(tmp_path / "key.p12"), "-nodes"),
            *("-passin", f"file:{tmp_path}/password", "-out", str(tmp_path / "key.pem")),
        ]
    )
    assert opened.returncode == 0, opened.stderr
    decrypted = run(
        [
            *(openssl, "cms", "-decrypt", "-binary", "-inform", "DER", "-in", str(tmp_path / "letter.p7m")),
            *("-inkey", str(tmp_path / "key.pem"), "-recip", str(tmp_path / "cert.der")),
        ]
    )
    assert decrypted.returncode == 0, decrypted.stderr
    assert decrypted.stdout == letter

    # And nothing is broken afterwards.
    assert succeed("verify", "--config", str(service.installed.config)) == {"violations": []}


def test_the_chain_verifies_for_smime(program: Find, service: Running, tmp_path: Path) -> None:
    address = f"chain.{uuid.uuid4().hex[:8]}@example.org"
    done = ldapsearch(
        program("ldapsearch"),
        *("-H", service.ldap, *as_gateway(service), "-b", SUFFIX, f"(mail={address})", CERTIFICATE),
    )
    (entry,) = entries(done.stdout)
    (tmp_path / "cert.der").write_bytes(entry[CERTIFICATE][0])
    chain = run([program("curl"), "-s", "--fail", f"{service.http}/ca/chain.pem"])
    assert chain.returncode == 0, chain.stderr
    (tmp_path / "chain.pem").write_bytes(chain.stdout)

    verified = run(
        [
            *(program("openssl"), "verify", "-x509_strict", "-purpose", "smimeencrypt"),
            *("-CAfile", str(tmp_path / "chain.pem"), "-verify_email", address, str(tmp_path / "cert.der")),
        ]
    )

    assert verified.returncode == 0, verified.stderr
