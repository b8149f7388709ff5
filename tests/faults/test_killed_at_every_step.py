"""`kill -9` at every named step between a question and its key mail, on both databases.

Afterwards the service is started again, and then: the certificate the gateway was given, if it was given one,
is still the one in the directory; the key mail arrives; its key package opens with the revealed password and
belongs to that certificate; and `pushpki verify` finds no violation.
"""

import contextlib
import uuid
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from ldap3.core.exceptions import LDAPException

from directory.steps import Step
from tests.databases import Databases
from tests.gateways import call, look_up
from tests.postbox import Postbox, postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

QUICK_KEYS = {**UNHURRIED, "PUSHPKI_CA__KEY_POOL_SIZE": "2"}
DIES_WITHIN_SECONDS = 30
KILLER = "tests.faults.crashing_service"
BEFORE_THE_ANSWER = {Step.MINT_RESERVED, Step.MINT_BEFORE_COMMIT, Step.MINT_AFTER_COMMIT}


@pytest.fixture(scope="module")
def mail() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def installed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    databases: Databases,
    mail: Postbox,
) -> Installed:
    database = databases.empty("postgresql") if request.param == "postgresql" else None
    return install(tmp_path_factory.mktemp("killed") / "pushpki", smtp=mail.smtp, database=database)


@pytest.mark.parametrize("step", [step for step in Step if not step.startswith("webhook.")])
def test_nothing_is_lost_when_the_process_dies(installed: Installed, mail: Postbox, step: Step) -> None:
    address = f"p{uuid.uuid4().hex[:12]}@example.com"

    answered = ask_and_die(installed, address, step)

    with serving(installed, variables=QUICK_KEYS) as running:
        (certificate,) = look_up(running, address)
        message = mail.message_to(address)
        password = reveal(running, address)
    assert answered in ([], [certificate]), "the gateway was given a certificate that is not the directory's"
    assert certificate_in(message, password) == certificate
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


def ask_and_die(installed: Installed, address: str, step: Step) -> list[bytes]:
    """Ask a service that dies at the step; return what it answered before."""
    answered: list[bytes] = []
    with serving(installed, variables=QUICK_KEYS, command=("-m", KILLER, step.value)) as running:
        # After the commit the answer and the key mail go their ways, whichever comes first.
        with contextlib.suppress(LDAPException):
            answered = look_up(running, address)
        if step in BEFORE_THE_ANSWER:
            assert answered == [], "the answer left before the step it must come after"
        running.process.wait(timeout=DIES_WITHIN_SECONDS)
    assert running.process.returncode == -9
    return answered


def reveal(running: Running, address: str) -> str:
    token = running.installed.agent_token
    status, listed = call(running, "GET", "/api/v1/enrolments", token=token)
    assert status == 200
    (enrolment_id,) = [one["enrolment_id"] for one in listed["enrolments"] if one["address"] == address]
    status, revealed = call(
        running, "POST", f"/api/v1/enrolments/{enrolment_id}/password/reveal", token=token, body={}
    )
    assert status == 200, revealed
    return str(revealed["password"])


def certificate_in(message: EmailMessage, password: str) -> bytes:
    (attachment,) = message.iter_attachments()
    key, certificate, _ = pkcs12.load_key_and_certificates(attachment.get_content(), password.encode())
    assert key is not None
    assert certificate is not None
    assert key.public_key() == certificate.public_key()
    return certificate.public_bytes(Encoding.DER)


def test_the_killing_service_is_the_service_but_for_the_killing() -> None:
    # What is tested must be what is shipped: the crashing service only hands in another listener.
    source = (Path(__file__).parent / "crashing_service.py").read_text(encoding="utf-8")

    assert "process.serve_until_signalled(" in source
    assert source.count("on_step=") == 1
