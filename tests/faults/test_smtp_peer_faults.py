"""A smart host that goes wrong at any step, in any way: one table, one promise for every row.

Whatever happened first, the mail stays queued with a failure that says where, nothing of it and no password
was said in clear, and as soon as the smart host is well it is accepted, once. Only where the acceptance was
lost is there a second copy, and that is the first one octet for octet, under the same envelope.

Each step alone, at the level of a session: tests/directory/delivery/test_smtp.py. Words injected before TLS:
tests/attacks/test_smtp_starttls_injection.py. Troubles by lot: test_unreliable_smart_host.py.
"""

import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from directory.delivery.outbox import MailState
from directory.delivery.settings import SmtpTimeouts
from directory.organization import Organization, SmtpSecurity, smtp_password_identity
from directory.steps import Step
from tests.directory.delivery.builders import a_sealer
from tests.directory.delivery.memory import MemoryOutbox, Row
from tests.directory.delivery.sink import Action, Fate, SmtpSink, Stage, smtp_sink
from tests.directory.delivery.tls import self_signed_context, server_context, write_ca_file
from tests.directory.delivery.working import SETTINGS, Work, an_organization_at, at_work, mails_for

SOON = timedelta(milliseconds=250)
PATIENT = SmtpTimeouts()
IMPATIENT = SmtpTimeouts(connect=SOON, command=SOON, data=SOON)
MOST_ATTEMPTS = 10
PAUSE = timedelta(hours=4)

PHASES = {
    Stage.GREETING: "CONNECT",
    Stage.EHLO: "EHLO",
    Stage.STARTTLS: "TLS",
    Stage.AUTH: "AUTH",
    Stage.MAIL: "MAIL",
    Stage.RCPT: "RCPT",
    Stage.DATA: "DATA",
    Stage.CONTENT: "DATA",
    Stage.DOT: "DATA",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the smart host does to begin with, and what is then to be read of it in the outbox."""

    failure: str
    """How the failure begins."""
    script: dict[Stage, list[Action]] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    timeouts: SmtpTimeouts = PATIENT
    extensions: tuple[bytes, ...] = (b"STARTTLS",)


def _at(stage: Stage, action: Action, failure: str, timeouts: SmtpTimeouts = PATIENT) -> Fault:
    return Fault(script={stage: [action]}, failure=f"{PHASES[stage]}: {failure}", timeouts=timeouts)


REPLYING = [stage for stage in PHASES if stage is not Stage.CONTENT]
FAULTS: dict[str, Fault] = {
    **{f"drops at {stage}": _at(stage, Fate.DROP, "connection lost") for stage in PHASES},
    **{f"is silent at {stage}": _at(stage, Fate.HANG, "timed out", IMPATIENT) for stage in REPLYING},
    **{f"tarpits at {stage}": _at(stage, Fate.TRICKLE, "timed out", IMPATIENT) for stage in REPLYING},
    **{f"floods at {stage}": _at(stage, Fate.FLOOD, "", IMPATIENT) for stage in REPLYING},
    **{f"says 421 at {stage}": _at(stage, b"421 4.3.2 going down", "421 ") for stage in REPLYING},
    **{f"says 451 at {stage}": _at(stage, b"451 4.3.0 later", "451 ") for stage in REPLYING},
    **{f"says 554 of us at {stage}": _at(stage, b"554 5.7.1 not you", "554 ") for stage in REPLYING},
    **{f"babbles at {stage}": _at(stage, b"<html>", "the server does not speak SMTP") for stage in REPLYING},
    "greylists": Fault(
        script={Stage.RCPT: [b"450 4.2.0 greylisted"] * 3}, failure="RCPT: 450 4.2.0 greylisted"
    ),
    "offers no TLS": Fault(extensions=(b"8BITMIME",), failure="TLS: the smart host does not offer STARTTLS"),
    "shows an expired certificate": Fault(
        tls=server_context(valid_for=timedelta(minutes=-1)),
        failure="TLS: certificate not accepted: certificate has expired",
    ),
    "shows another's certificate": Fault(
        tls=server_context("other.example"), failure="TLS: certificate not accepted: IP address mismatch"
    ),
    "shows a certificate of an unknown issuer": Fault(
        tls=self_signed_context(), failure="TLS: certificate not accepted: self-signed certificate"
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_mail_outlives_it(fault: Fault, ca_file: Path) -> None:
    outbox = MemoryOutbox()
    settings = replace(SETTINGS, ca_file=ca_file, timeouts=fault.timeouts)
    async with smtp_sink(a_smart_host_with(fault)) as sink:
        [mail] = mails_for(an_organization_with_password_at(sink))
        row = outbox.put(mail)
        async with at_work(outbox, settings=settings) as work:
            await work.steps.reached(Step.MAIL_RECORDED)
            assert row.state is MailState.QUEUED
            assert row.failure is not None
            assert row.failure.startswith(fault.failure)

            recover(sink)
            await accepted(work, row)
    assert_nothing_was_said_in_clear(sink)
    assert len(sink.accepted) == 1
    sent = [(one.mail, tuple(one.recipients), one.content) for one in sink.transactions if one.content]
    assert len(sent) == (2 if Stage.DOT in fault.script else 1)
    assert len(set(sent)) == 1


async def test_a_mail_outlives_a_smart_host_that_is_down(ca_file: Path) -> None:
    outbox = MemoryOutbox()
    sink = a_smart_host_with(Fault(failure=""))
    async with smtp_sink(sink):
        [mail] = mails_for(an_organization_with_password_at(sink))
    row = outbox.put(mail)
    async with AsyncExitStack() as stack:
        work = await stack.enter_async_context(at_work(outbox, settings=replace(SETTINGS, ca_file=ca_file)))
        await work.steps.reached(Step.MAIL_RECORDED)
        assert (row.state, row.failure) == (MailState.QUEUED, "CONNECT: connection refused")

        again = a_smart_host_with(Fault(failure=""))
        await stack.enter_async_context(smtp_sink(again, port=sink.port))
        await accepted(work, row)
        await work.stop()
    assert len(again.accepted) == 1


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return write_ca_file(tmp_path)


def a_smart_host_with(fault: Fault) -> SmtpSink:
    return SmtpSink(
        script={stage: list(actions) for stage, actions in fault.script.items()},
        extensions=fault.extensions,
        extensions_under_tls=(b"AUTH PLAIN", b"DSN"),
        tls=fault.tls or server_context(),
    )


def recover(sink: SmtpSink) -> None:
    """Let the smart host be as it should, but for what is left of its script."""
    sink.extensions = (b"STARTTLS",)
    sink.tls = server_context()


def an_organization_with_password_at(sink: SmtpSink) -> Organization:
    organization = an_organization_at(sink.smart_host(SmtpSecurity.STARTTLS))
    sealed = a_sealer().seal(b"hunter2", smtp_password_identity(organization.organization_id))
    assert organization.smart_host is not None
    host = replace(organization.smart_host, username="keys", sealed_password=sealed)
    return replace(organization, smart_host=host)


async def accepted(work: Work, row: Row) -> None:
    """Let time pass until the mail is accepted; on a busy machine one more attempt may run out of time."""
    for _ in range(MOST_ATTEMPTS):
        if row.state is MailState.ACCEPTED:
            return
        attempts = work.steps.taken[Step.MAIL_RECORDED]
        await work.later(PAUSE)
        await work.steps.reached(Step.MAIL_RECORDED, times=attempts + 1)
    assert row.state is MailState.ACCEPTED


def assert_nothing_was_said_in_clear(sink: SmtpSink) -> None:
    assert all(transaction.under_tls for transaction in sink.transactions)
    assert {shown for shown, _ in sink.credentials} <= {b"\0keys\0hunter2"}
    assert all(under_tls for _, under_tls in sink.credentials)
