"""A key mail that comes back after it was taken: the operator's mail server hands the bounce over by LMTP."""

import smtplib
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.directory.bounces.builders import a_notification
from tests.gateways import call, look_up
from tests.postbox import Postbox, postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

QUICK = {
    **UNHURRIED,
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_BOUNCES__LISTEN": "127.0.0.1:0",
    "PUSHPKI_LIMITS__RECIPIENT_PER_DAY": "10",
    "PUSHPKI_SERVICE__LOG_LEVEL": "debug",
}
FORGOTTEN_WITHIN_SECONDS = 5
DESK = "desk@hospital.org"


@pytest.fixture
def mail() -> Iterator[Postbox]:
    with postbox() as opened:
        yield opened


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory, mail: Postbox) -> Installed:
    made = install(tmp_path_factory.mktemp("bounces") / "pushpki", smtp=mail.smtp)
    succeed("org", "set", "hospital", "--notices-to", DESK, "--config", str(made.config))
    return made


def return_path(installed: Installed, message_id: str) -> str:
    with closing(sqlite3.connect(installed.folder / "pushpki.sqlite3")) as database:
        query = "SELECT bounce_token FROM outgoing_mail WHERE message_id = ?"
        ((token,),) = database.execute(query, (message_id,)).fetchall()
    return f"keys+{token}@hospital.org"


def hand_over(running: Running, recipient: str, message: bytes) -> None:
    with smtplib.LMTP("127.0.0.1", running.ports["bounces"], timeout=30) as client:
        client.sendmail("", [recipient], message)


def test_the_certificate_goes_the_desk_is_told_and_a_cleared_address_gets_a_new_key(
    installed: Installed, mail: Postbox
) -> None:
    address = f"p{uuid.uuid4().hex[:12]}@example.com"
    with serving(installed, variables=QUICK) as running:
        (first,) = look_up(running, address)
        key_mail = mail.message_to(address)
        path = return_path(installed, str(key_mail["Message-ID"]))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            hand_over(running, f"keys+{'0' * 32}@hospital.org", a_notification(recipient=address))

        hand_over(running, path, a_notification(recipient=address))
        began = time.monotonic()

        _, listed = call(running, "GET", "/api/v1/enrolments", token=installed.agent_token)
        (enrolment,) = listed["enrolments"]
        notice = mail.message_to(DESK)
        assert (enrolment["delivery"], enrolment["relay"]) == ("bounced", "failed")
        assert "5.1.1" in enrolment["last_failure"]
        assert address in str(notice["Subject"])
        while look_up(running, address):  # answered from memory
            assert time.monotonic() - began < FORGOTTEN_WITHIN_SECONDS

        succeed("bounce", "clear", address, "--config", str(installed.config))
        (second,) = look_up(running, address)
        assert second != first
        assert mail.message_to(address)["Message-ID"] != key_mail["Message-ID"]
    log = (installed.folder / "serve.log").read_text(encoding="utf-8")
    assert address not in log
    assert path not in log
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}
