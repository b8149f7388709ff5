"""A smart host that drops, refuses, hangs up and babbles at every step, and a delivery that dies at any.

Whatever happens, every mail ends up accepted; what the outbox calls accepted, the smart host has; and copies,
which cannot be avoided where a reply is lost, bear one Message-ID.
"""

import email
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from email import policy

import pytest

from directory.delivery.outbox import MailState
from directory.steps import Step
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.memory import MemoryOutbox
from tests.directory.delivery.sink import Action, Fate, SmtpSink, Stage, smtp_sink
from tests.directory.delivery.working import SETTINGS, an_organization_at, at_work, mails_for

MAILS = 20
TROUBLED_SHARE = 0.25
TROUBLES: tuple[Action, ...] = (Fate.DROP, b"421 4.3.2 going down", b"451 4.3.0 later", b"banana")
USUAL: dict[Stage, Action] = {
    Stage.GREETING: b"220 sink",
    Stage.EHLO: b"250 sink",
    Stage.MAIL: b"250 ok",
    Stage.RCPT: b"250 ok",
    Stage.DATA: b"354 go",
    Stage.DOT: b"250 queued",
    Stage.RSET: b"250 ok",
    Stage.CONTENT: b"",
}


def a_troubled_script(seed: int) -> dict[Stage, list[Action]]:
    """At each stage, forty times: trouble once in four times."""
    draw = random.Random(seed)  # noqa: S311 - reproducible, not secret
    return {
        stage: [draw.choice(TROUBLES) if draw.random() < TROUBLED_SHARE else usual for _ in range(40)]
        for stage, usual in USUAL.items()
    }


def recipients_by_message_id(sink: SmtpSink) -> dict[str, set[bytes]]:
    found: defaultdict[str, set[bytes]] = defaultdict(set)
    for transaction in sink.transactions:
        if transaction.content:
            message = email.message_from_bytes(transaction.message, policy=policy.default)
            found[message["Message-ID"]].update(transaction.recipients)
    return found


@pytest.mark.parametrize("seed", range(8))
async def test_no_mail_is_lost_to_an_unreliable_smart_host(seed: int) -> None:
    outbox, clock = MemoryOutbox(), StoppedClock()
    async with smtp_sink(SmtpSink(script=a_troubled_script(seed))) as sink:
        mails = mails_for(an_organization_at(sink.smart_host()), MAILS)
        for mail in mails:
            outbox.put(mail)
        async with at_work(outbox, clock=clock) as work:
            rounds = 0
            while any(row.state is MailState.QUEUED for row in outbox.rows.values()):
                rounds += 1
                waiting = sum(row.state is MailState.QUEUED for row in outbox.rows.values())
                await work.steps.reached(
                    Step.MAIL_RECORDED, times=work.steps.taken[Step.MAIL_RECORDED] + waiting
                )
                await work.later(timedelta(hours=4))
    assert {row.state for row in outbox.rows.values()} == {MailState.ACCEPTED}
    assert sorted(event.subject for event in outbox.events) == sorted(mail.enrolment_id for mail in mails)
    accepted = {recipient for transaction in sink.accepted for recipient in transaction.recipients}
    assert accepted == {b"RCPT TO:<%s>" % str(mail.mailbox).encode() for mail in mails}
    # One identifier for all copies to a recipient, and no other recipient's.
    by_id = recipients_by_message_id(sink)
    assert set(by_id) == {mail.message_id for mail in mails}
    assert all(len(recipients) == 1 for recipients in by_id.values())


class Died(BaseException):
    """The end of one delivery, without a chance to tidy up."""


def dying_once_at(step: Step) -> Callable[[Step], None]:
    lives = [step]

    def listen(taken: Step) -> None:
        if taken in lives:
            lives.remove(taken)
            raise Died

    return listen


@pytest.mark.parametrize(
    ("step", "copies"),
    [
        (Step.MAIL_CLAIMED, 1),
        (Step.MAIL_BEFORE_SEND, 1),
        (Step.MAIL_AFTER_DATA, 2),
        (Step.MAIL_RECORDED, 1),
    ],
)
async def test_a_delivery_that_dies_is_taken_up_again(step: Step, copies: int) -> None:
    outbox, clock = MemoryOutbox(), StoppedClock()
    async with smtp_sink() as sink:
        [mail] = mails_for(an_organization_at(sink.smart_host()))
        row = outbox.put(mail)
        async with at_work(outbox, clock=clock, on_step=dying_once_at(step)) as work:
            await work.steps.reached(step)
            await work.waits.begun()
            if step is not Step.MAIL_RECORDED:
                assert row.claimed_until == clock.now() + SETTINGS.lease
                await work.later(SETTINGS.lease)
                await work.steps.reached(Step.MAIL_RECORDED)
    assert row.state is MailState.ACCEPTED
    assert len(outbox.events) == 1
    assert len(sink.accepted) == copies
    assert set(recipients_by_message_id(sink)) == {mail.message_id}
