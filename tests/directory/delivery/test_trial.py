import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import policy
from email.message import EmailMessage

import pytest

from ca.address import Mailbox
from directory.audit import AuditEvent, AuditKind
from directory.delivery.mime import Message
from directory.delivery.previewing import Wanted, specimen_message
from directory.delivery.replies import Accepted, Outcome, Permanent, Transient
from directory.delivery.returnpath import read_token
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.trial import Trial, described
from directory.errors import MailRefused, StoreUnavailable
from directory.organization import Organization
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import NOW, a_sealer, a_stationery, an_authority
from tests.directory.delivery.sink import SmtpSink, Stage, smtp_sink

ME = Mailbox.parse("me@example.org")


@dataclass(slots=True)
class Register:
    """Remembers what it was told."""

    suppressed: frozenset[str] = frozenset()
    unavailable: bool = False
    events: list[AuditEvent] = field(default_factory=list)

    async def wants_no_mail(self, recipient: Mailbox) -> bool:
        return recipient.key in self.suppressed

    async def append(self, event: AuditEvent) -> None:
        if self.unavailable:
            raise StoreUnavailable(reason="away")
        self.events.append(event)


class Stamp:
    """Signs with a line."""

    def sign(self, organization: Organization, message: bytes) -> bytes:
        return b"X-Signed-By: %s\r\n%s" % (organization.slug.encode(), message)


@asynccontextmanager
async def a_trial(register: Register) -> AsyncIterator[Trial]:
    clock = StoppedClock(NOW)
    smart_hosts = SmartHosts(sealer=a_sealer(), clock=clock, settings=DeliverySettings())
    try:
        yield Trial(
            carriers=smart_hosts, signer=Stamp(), register=register, clock=clock, actor="operator:ops"
        )
    finally:
        await smart_hosts.close()


def a_message(organization: Organization) -> Message:
    wanted = Wanted(message="key_package", recipient=ME)
    return specimen_message(a_stationery(), organization, wanted, chain=an_authority().chain, now=NOW)


async def send(sink: SmtpSink, register: Register) -> Outcome:
    async with smtp_sink(sink), a_trial(register) as trial:
        organization = replace(an_organization(), smart_host=sink.smart_host())
        return await trial.send(organization, a_message(organization))


async def test_goes_the_way_of_the_organizations_mails_and_says_that_it_is_a_test() -> None:
    sink, register = SmtpSink(), Register()
    outcome = await send(sink, register)
    assert isinstance(outcome, Accepted)
    assert described(outcome) == {
        "accepted": True,
        "host": "127.0.0.1",
        "response": "250 2.0.0 queued as 4F2A",
    }
    [transaction] = sink.accepted
    assert transaction.recipients == [b"RCPT TO:<me@example.org>"]
    message = email.message_from_bytes(transaction.message, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert message["X-Signed-By"] == "hospital"
    assert message["Subject"].startswith("TEST: ")
    # Bounces of it find no mail.
    assert read_token(transaction.mail.decode().partition("<")[2].partition(">")[0]) is not None


async def test_is_on_record_before_it_is_sent() -> None:
    register = Register()
    await send(SmtpSink(always={Stage.RCPT: b"550 5.1.1 nobody here"}), register)
    [event] = register.events
    assert (event.kind, event.actor) == (AuditKind.MAIL_TRIED, "operator:ops")
    assert event.subject == f"address:{ME.key}"

    sink = SmtpSink()
    with pytest.raises(StoreUnavailable):
        await send(sink, Register(unavailable=True))
    assert sink.connections == 0


async def test_is_not_sent_to_somebody_who_wants_no_mail() -> None:
    sink, register = SmtpSink(), Register(suppressed=frozenset({ME.key}))
    with pytest.raises(MailRefused) as caught:
        await send(sink, register)
    assert caught.value.code == "mail.suppressed"
    assert (sink.connections, register.events) == (0, [])


@pytest.mark.parametrize(
    ("reply", "kind"), [(b"550 5.1.1 nobody here", Permanent), (b"451 4.3.0 later", Transient)]
)
async def test_says_why_it_was_not_accepted(reply: bytes, kind: type[Outcome]) -> None:
    outcome = await send(SmtpSink(always={Stage.RCPT: reply}), Register())
    assert isinstance(outcome, kind)
    document = described(outcome)
    assert (document["accepted"], document["permanent"]) == (False, kind is Permanent)
    assert reply.decode()[4:] in str(document["failure"])


async def test_says_that_nobody_is_there() -> None:
    organization = replace(an_organization(), smart_host=SmtpSink(port=1).smart_host())
    async with a_trial(Register()) as trial:
        outcome = await trial.send(organization, a_message(organization))
    assert isinstance(outcome, Transient)
