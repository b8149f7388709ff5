"""Which moments matter if the process dies there? The named steps between a question and what comes of it.

Wiring hands a function that is told of each step; in service it does nothing. The fault tests hand one that
kills the process, at every step in turn, and then check that no invariant is broken.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A named moment."""

    MINT_RESERVED = "mint.reserved"
    MINT_BEFORE_COMMIT = "mint.before_commit"
    MINT_AFTER_COMMIT = "mint.after_commit"
    MAIL_CLAIMED = "mail.claimed"
    MAIL_COMPOSED = "mail.composed"
    MAIL_BEFORE_SEND = "mail.before_send"
    MAIL_AFTER_DATA = "mail.after_data"
    MAIL_RECORDED = "mail.recorded"
    WEBHOOK_BEFORE_CALL = "webhook.before_call"
    WEBHOOK_AFTER_CALL = "webhook.after_call"
    WEBHOOK_RECORDED = "webhook.recorded"


StepListener = Callable[[Step], None]


def ignore_step(_step: Step) -> None:
    """Do nothing: what happens at every step in service."""
