"""Does the product keep its promise? Each step does the real thing and checks what came of it."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path

from ldap3.core.exceptions import LDAPException

from directory.demo.people import (
    LookupResult,
    RegistrationAgent,
    SendingGateway,
    StoryFailed,
    call_api,
    key_package_in,
    open_and_decrypt,
)
from directory.demo.postbox import Postbox

RECIPIENT = "jordan.doe@example.org"
GATEWAY = "mailgate"
AGENT = "desk@hospital.example.com"
KEY_MAIL_NAME = "key-mail.eml"
"""Where the key mail that arrived is kept, for whoever wants to look at it."""
_MAIL_ARRIVES_WITHIN_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the story plays: the running service and the credentials of its people."""

    suffix: str
    http_port: int
    ldap_port: int
    gateway_token: str
    agent_token: str
    home: Path
    """The folder of the installation."""


async def tell(stage: Stage, postbox: Postbox, say: Callable[[str, str], None]) -> None:
    """Walk the whole story; `say` is given each step's title and what came of it.

    Raises:
        StoryFailed: a step did not turn out as it must.
    """
    try:
        await _tell(stage, postbox, say)
    except TimeoutError as error:
        raise StoryFailed("a step took too long") from error
    except (OSError, HTTPException, LDAPException, ValueError) as error:
        raise StoryFailed(f"{type(error).__name__}: {error}") from error


async def _tell(stage: Stage, postbox: Postbox, say: Callable[[str, str], None]) -> None:
    gateway = await asyncio.to_thread(
        SendingGateway,
        ldap_port=stage.ldap_port,
        suffix=stage.suffix,
        name=GATEWAY,
        token=stage.gateway_token,
    )
    try:
        first = await asyncio.to_thread(gateway.look_up, RECIPIENT)
        say(
            f"The gateway asks over LDAP for {RECIPIENT}, of whom nobody has ever heard",
            f"a certificate in {first.milliseconds:.1f} ms: {_described(first)}",
        )

        content = b"Content-Type: text/plain\r\n\r\nYour results are in: " + secrets.token_hex(512).encode()
        encrypted = gateway.encrypt(content, first.certificate)
        say(
            "It encrypts a mail to that certificate and sends it on its way", f"{len(encrypted)} bytes of CMS"
        )

        message = await asyncio.wait_for(postbox.next_message(), timeout=_MAIL_ARRIVES_WITHIN_SECONDS)
        _expect(message["To"] == RECIPIENT, "the key mail went to somebody else")
        file_name, key_package = key_package_in(message)
        (stage.home / KEY_MAIL_NAME).write_bytes(message.as_bytes())
        say("Meanwhile the key mail has arrived at the recipient", _mail_described(message, file_name))

        password = await asyncio.to_thread(_relay_password, stage)
        say(
            "A registration agent sees the password, once, and passes it on by phone",
            f"{len(password)} characters with 125 bits of entropy; a gateway's token is refused it",
        )

        certificate, decrypted = open_and_decrypt(key_package, password, encrypted)
        _expect(certificate == first.certificate, "the key package belongs to another certificate")
        _expect(decrypted == content, "what was decrypted is not what was encrypted")
        say(
            "The recipient opens the key package and decrypts the mail",
            f"{len(decrypted)} bytes, equal byte for byte",
        )

        second = await asyncio.to_thread(gateway.look_up, RECIPIENT)
        _expect(second.certificate == first.certificate, "the second lookup gave another certificate")
        say(
            "The gateway asks again: found, not minted",
            f"the same certificate in {second.milliseconds:.1f} ms; one key, one password, one mail",
        )
    finally:
        gateway.close()


def _relay_password(stage: Stage) -> str:
    waiting = call_api(stage.http_port, "GET", "/api/v1/enrolments", token=stage.agent_token)["enrolments"]
    mine = [enrolment["enrolment_id"] for enrolment in waiting if enrolment["address"] == RECIPIENT]
    _expect(len(mine) == 1, "the agent's list does not show exactly one password to relay")
    try:
        RegistrationAgent(http_port=stage.http_port, token=stage.gateway_token).reveal_password(mine[0])
    except StoryFailed:
        pass  # as it must be: whoever can intercept the mail must not get the password as well
    else:
        raise StoryFailed("a gateway's token was shown the password")
    agent = RegistrationAgent(http_port=stage.http_port, token=stage.agent_token)
    password = agent.reveal_password(mine[0])
    agent.report_relayed(mine[0])
    return password


def _described(result: LookupResult) -> str:
    certificate = result.certificate
    return f"serial {certificate.serial_number:x}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}"


def _mail_described(message: EmailMessage, file_name: str) -> str:
    return f"from {message['From']}, “{message['Subject']}”, with {file_name}"


def _expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise StoryFailed(otherwise)
