"""Every composer there is, and a due mail of each kind for it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from ca.sealing import SealedSecret
from directory.delivery.bouncenotices import BounceNoticeComposer
from directory.delivery.composing import Composer
from directory.delivery.dkim_keys import DkimAlgorithm, generate_key
from directory.delivery.outbox import DueMail, MailKind
from directory.delivery.passwordmail import PasswordMailComposer, unsealed_password
from directory.delivery.proofmail import ProofMailComposer
from directory.delivery.recoverymail import RecoveryNoticeComposer
from directory.delivery.relaynotices import RelayNoticeComposer
from directory.delivery.remindermail import ReminderComposer
from directory.organization import (
    Correspondence,
    Dkim,
    KeyDelivery,
    Organization,
    PasswordMail,
    dkim_key_identity,
)
from directory.pages import Pages
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import a_due_mail, a_key_mail_composer, a_sealer, a_stationery
from tests.directory.delivery.certificates import a_bare_certificate

PAGES = Pages(url="https://keys.hospital.org")
DESK = Mailbox.parse("desk@hospital.org")
TO_THE_RECIPIENT = frozenset({MailKind.KEY, MailKind.PROOF, MailKind.REMINDER, MailKind.KEY_RECOVERED})


@cache
def every_composer() -> Mapping[MailKind, Composer]:
    key_mails = a_key_mail_composer(pages=PAGES)
    opened = partial(unsealed_password, sealer=a_sealer())
    stationery = a_stationery()
    return {
        MailKind.KEY: key_mails,
        MailKind.PROOF: ProofMailComposer(stationery=stationery, pages=PAGES),
        MailKind.REMINDER: ReminderComposer(stationery=stationery, pages=PAGES, hold=key_mails.hold),
        MailKind.KEY_RECOVERED: RecoveryNoticeComposer(stationery=stationery),
        MailKind.PASSWORD: PasswordMailComposer(opened=opened, stationery=stationery),
        **{
            kind: BounceNoticeComposer(message=kind.value, stationery=stationery)
            for kind in (MailKind.NOTICE_BOUNCED, MailKind.NOTICE_PAUSED)
        },
        **{
            kind: RelayNoticeComposer(message=kind.value, stationery=stationery)
            for kind in (MailKind.NOTICE_EXPIRING, MailKind.NOTICE_EXPIRED)
        },
    }


def an_organization_that_writes(*, key_delivery: KeyDelivery = KeyDelivery.BOTH) -> Organization:
    """Return one that signs its mails, and has a desk that passwords are sent to."""
    organization = an_organization()
    return replace(
        organization,
        correspondence=Correspondence(
            key_delivery=key_delivery,
            dkim=Dkim(selector="pushpki", sealed_key=_sealed_dkim_key(organization.organization_id)),
            password_mail=PasswordMail(mailbox=DESK, certificate=_desk_certificate()),
            notices_to=DESK,
        ),
    )


def a_mail_of(kind: MailKind, *, organization: Organization, address: str = "anna@example.org") -> DueMail:
    mail = a_due_mail(address=address, organization=organization)
    return replace(mail, kind=kind, recipient=mail.mailbox if kind in TO_THE_RECIPIENT else DESK)


@cache
def _sealed_dkim_key(organization_id: str) -> SealedSecret:
    return a_sealer().seal(generate_key(DkimAlgorithm.ED25519), dkim_key_identity(organization_id))


@cache
def _desk_certificate() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return a_bare_certificate(key).public_bytes(Encoding.DER)
