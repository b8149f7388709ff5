"""Who writes which mail? The composers by kind, put together for `serve` and for commands that show mails."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from directory.delivery.bouncenotices import BounceNoticeComposer
from directory.delivery.composing import Composed, Composer
from directory.delivery.keymail import KeyMailComposer
from directory.delivery.outbox import DueMail, MailKind
from directory.delivery.packing import pack
from directory.delivery.passwordmail import PasswordMailComposer, unsealed_password
from directory.delivery.proofmail import ProofMailComposer
from directory.delivery.recoverymail import RecoveryNoticeComposer
from directory.delivery.relaynotices import RelayNoticeComposer
from directory.delivery.remindermail import ReminderComposer
from directory.delivery.stationery import Stationery
from directory.pages import Pages
from directory.precedence import MintsFirst
from directory.wiring.extracts import delivery_settings
from directory.wiring.following import asks_for_proofs
from directory.wiring.installation import Installation


def composers(installation: Installation) -> Mapping[MailKind, Composer]:
    """Return who writes the mails of each kind.

    Raises:
        ConfigurationRefused: the operator's templates cannot be used.
    """
    settings = installation.settings
    stationery = Stationery(settings.delivery.templates)
    hold = delivery_settings(settings).hold
    found: dict[MailKind, Composer] = {
        MailKind.KEY: KeyMailComposer(
            packed=partial(pack, sealer=installation.sealer),
            stationery=stationery,
            pages=pages(installation),
            hold=hold,
        ),
        MailKind.PASSWORD: PasswordMailComposer(
            opened=partial(unsealed_password, sealer=installation.sealer), stationery=stationery
        ),
        MailKind.KEY_RECOVERED: RecoveryNoticeComposer(stationery=stationery),
        MailKind.NOTICE_BOUNCED: BounceNoticeComposer(message="notice_bounced", stationery=stationery),
        MailKind.NOTICE_PAUSED: BounceNoticeComposer(message="notice_paused", stationery=stationery),
        MailKind.NOTICE_EXPIRING: RelayNoticeComposer(message="notice_expiring", stationery=stationery),
        MailKind.NOTICE_EXPIRED: RelayNoticeComposer(message="notice_expired", stationery=stationery),
    }
    where = pages(installation)
    if where is not None:
        found[MailKind.REMINDER] = ReminderComposer(stationery=stationery, pages=where, hold=hold)
        if asks_for_proofs(settings):
            found[MailKind.PROOF] = ProofMailComposer(stationery=stationery, pages=where)
    return found


def pages(installation: Installation) -> Pages | None:
    """Return where recipients are sent; None where there is no such place."""
    url = installation.settings.pages.url
    return Pages(url=url) if url is not None else None


def standing_back(
    composers: Mapping[MailKind, Composer], precedence: MintsFirst
) -> Mapping[MailKind, Composer]:
    """Return the same, each of whom lets mints go first."""
    return {kind: _StandingBack(composer, precedence) for kind, composer in composers.items()}


class _StandingBack:
    def __init__(self, composer: Composer, precedence: MintsFirst) -> None:
        self._composer = composer
        self._precedence = precedence

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Compose it when the mints leave room for that; called in a thread that may wait."""
        self._precedence.give_way()
        return self._composer.compose(mail, now=now)
