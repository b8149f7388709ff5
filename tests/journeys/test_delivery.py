"""A key mail whose smart host is away: the answer does not wait for it, and the mail is not forgotten."""

import socket
import uuid
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from tests.gateways import call, look_up
from tests.postbox import postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

QUICK = {
    **UNHURRIED,
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_DELIVERY__FIRST_RETRY_SECONDS": "0.2",
    "PUSHPKI_DELIVERY__POLL_SECONDS": "0.2",
}


@pytest.fixture
def smtp_port() -> int:
    """A port on which nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory, smtp_port: int) -> Installed:
    return install(tmp_path_factory.mktemp("delivery") / "pushpki", smtp=f"smtp://127.0.0.1:{smtp_port}")


@pytest.fixture
def address() -> str:
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def enrolments(running: Running) -> list[dict[str, str]]:
    status, listed = call(running, "GET", "/api/v1/enrolments", token=running.installed.agent_token)
    assert status == 200
    found: list[dict[str, str]] = listed["enrolments"]
    return found


def watched(running: Running) -> Iterator[dict[str, str]]:
    """Yield the only enrolment again and again."""
    while True:
        (enrolment,) = enrolments(running)
        yield enrolment


def test_a_key_mail_waits_for_its_smart_host_and_for_a_restart_of_the_service(
    installed: Installed, smtp_port: int, address: str
) -> None:
    with serving(installed, variables=QUICK) as running:
        (certificate,) = look_up(running, address)
        failed = next(one for one in watched(running) if one["last_failure"])
        assert failed["delivery"] == "queued"
        running.process.kill()

    with serving(installed, variables=QUICK) as running, postbox(smtp_port) as mail:
        message = mail.message_to(address)
        delivered = next(one for one in watched(running) if one["delivery"] == "accepted")
        reveal = f"/api/v1/enrolments/{delivered['enrolment_id']}/password/reveal"
        status, revealed = call(running, "POST", reveal, token=installed.agent_token, body={})

    assert status == 200
    assert len(mail.raw) == 1
    (attachment,) = message.iter_attachments()
    key, certified, _ = pkcs12.load_key_and_certificates(
        attachment.get_content(), revealed["password"].encode()
    )
    assert key is not None
    assert certified is not None
    assert certified.public_bytes(Encoding.DER) == certificate
    assert key.public_key() == certified.public_key()
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
