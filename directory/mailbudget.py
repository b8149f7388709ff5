"""How much mail about keys may one person get, whoever causes it? One budget over all organizations.

Organizations that know nothing of each other, agents that press a button again, tags and dots in an address:
whatever the reason, nobody is bombed with mail through us. The mint has limits of its own (`limits`), for a
certificate without its key mail must not exist; what it sends counts here all the same.
"""

from datetime import timedelta

MOST_KEY_MAILS = 3
"""Mails about keys, of every kind that goes to recipients, within `BUDGET_PERIOD`."""
BUDGET_PERIOD = timedelta(days=7)


def has_room(mails_in_period: int) -> bool:
    """Whether one more mail may go to a person who was sent so many within `BUDGET_PERIOD`.

    A person is what `Mailbox.base_key` says: the address without its tag, dots and case.
    """
    return mails_in_period < MOST_KEY_MAILS
