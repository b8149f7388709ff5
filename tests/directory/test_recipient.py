import plistlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from ca.errors import SealBroken
from ca.keypackage import KeyPackageFormat
from ca.keys import PrivateKey, same_key
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.audit import AuditKind
from directory.delivery.keymail import FILE_NAME
from directory.errors import ResendRefused, StoreUnavailable
from directory.links import LinkPurpose, read_link
from directory.organization import Correspondence, KeyDelivery
from directory.recipient import (
    KEY_FILE_NAME,
    MOST_DOWNLOADS,
    ProfileWords,
    Recipient,
    RecipientDesk,
    Withheld,
)
from directory.resending import KeyMailResender
from tests.builders import Authority
from tests.directory.builders import an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.http.house import Counter
from tests.directory.recipients import PASSWORD, LinkBook, a_recipient

SEALER = Sealer(MasterKeyring(active=MasterKey(key_id="m1", material=bytes(32))))
WORDS = ProfileWords(organization="City Hospital", title="Key", description="For Alice")


class Desk:
    """A desk with a recipient who has a link."""

    def __init__(self, authority: Authority, key: PrivateKey) -> None:
        self.book, self.resends, self.clock = LinkBook(), Counter(), StoppedClock()
        self.key = key
        resender = KeyMailResender(store=self.resends, clock=self.clock, lifetime=timedelta(days=5))
        self.desk = RecipientDesk(store=self.book, sealer=SEALER, resender=resender, clock=self.clock)
        self.token = self.book.issue(a_recipient(authority, key, SEALER))

    async def recipient(self, purpose: LinkPurpose = LinkPurpose.INSTALL) -> Recipient | None:
        presented = read_link(self.token)
        assert presented is not None
        return await self.desk.recipient(presented, purpose)

    async def somebody(self) -> Recipient:
        recipient = await self.recipient()
        assert recipient is not None
        return recipient


@pytest.fixture
def at(authority: Authority, recipient_key: PrivateKey) -> Desk:
    return Desk(authority, recipient_key)


async def test_a_link_leads_to_its_recipient_until_it_expires(at: Desk) -> None:
    recipient = await at.somebody()

    assert str(recipient.mailbox) == "alice@example.com"
    at.clock.advance(recipient.expires_at - at.clock.now())
    assert await at.recipient() is None


async def test_a_link_for_one_thing_is_not_for_another(at: Desk) -> None:
    assert await at.recipient(LinkPurpose.PROOF) is None
    assert await at.recipient(LinkPurpose.STOP) is None


@pytest.mark.parametrize("package_format", KeyPackageFormat)
async def test_hands_out_the_key_locked_with_the_password_of_the_relay(
    at: Desk, package_format: KeyPackageFormat
) -> None:
    package = await at.desk.key_package(await at.somebody(), package_format)

    assert isinstance(package, bytes)
    key, certificate, chain = pkcs12.load_key_and_certificates(package, PASSWORD.encode())
    assert key is not None
    assert same_key(key.public_key(), at.key.public_key())  # type: ignore[arg-type]  # it is one of ours
    assert certificate is not None
    assert len(chain) == 2


async def test_what_is_handed_out_is_on_record_without_a_secret(at: Desk) -> None:
    recipient = await at.somebody()
    await at.desk.key_package(recipient, KeyPackageFormat.MODERN)
    await at.desk.profile(recipient, KeyPackageFormat.COMPATIBLE, WORDS)

    assert [(event.kind, event.actor, event.subject) for event in at.book.events] == [
        (AuditKind.KEY_PACKAGE_DOWNLOADED, "recipient", recipient.enrolment_id)
    ] * 2
    assert [dict(event.detail) for event in at.book.events] == [
        {"format": "modern", "as": "file"},
        {"format": "compatible", "as": "profile"},
    ]
    assert at.token[16:] not in repr(at.book.events)
    assert PASSWORD not in repr(at.book.events)


async def test_a_profile_holds_the_same_key_package(at: Desk) -> None:
    profile = await at.desk.profile(await at.somebody(), KeyPackageFormat.COMPATIBLE, WORDS)

    assert isinstance(profile, bytes)
    loaded = plistlib.loads(profile)
    key, _, _ = pkcs12.load_key_and_certificates(
        loaded["PayloadContent"][-1]["PayloadContent"], PASSWORD.encode()
    )
    assert key is not None
    assert loaded["PayloadIdentifier"].startswith("org.hospital.pushpki.")


async def test_nothing_is_handed_out_that_could_not_be_recorded(at: Desk) -> None:
    recipient = await at.somebody()
    at.book.failure = StoreUnavailable(reason="disk full")

    with pytest.raises(StoreUnavailable):
        await at.desk.key_package(recipient, KeyPackageFormat.MODERN)


@pytest.mark.parametrize("gone", ["sealed_key", "sealed_password", "live"])
async def test_a_key_that_is_not_to_be_had_is_withheld_and_nothing_recorded(at: Desk, gone: str) -> None:
    at.book.change(at.token, **{gone: False if gone == "live" else None})
    recipient = await at.somebody()

    assert not recipient.has_key
    assert await at.desk.key_package(recipient, KeyPackageFormat.MODERN) is Withheld.GONE
    assert await at.desk.profile(recipient, KeyPackageFormat.MODERN, WORDS) is Withheld.GONE
    assert at.book.events == []


async def test_a_link_hands_the_key_out_only_so_often_in_whatever_form(at: Desk) -> None:
    recipient = await at.somebody()
    at.book.downloads[recipient.link_id] = MOST_DOWNLOADS - 1

    assert isinstance(await at.desk.profile(recipient, KeyPackageFormat.MODERN, WORDS), bytes)
    assert await at.desk.profile(recipient, KeyPackageFormat.MODERN, WORDS) is Withheld.USED_UP
    assert await at.desk.key_package(recipient, KeyPackageFormat.MODERN) is Withheld.USED_UP


async def test_another_enrolments_secrets_do_not_open(at: Desk) -> None:
    at.book.change(at.token, enrolment_id="f" * 32)

    with pytest.raises(SealBroken):
        await at.desk.key_package(await at.somebody(), KeyPackageFormat.MODERN)


@pytest.mark.parametrize("mailed", KeyPackageFormat)
async def test_the_key_mail_is_sent_again_in_the_format_that_it_was_not(
    at: Desk, mailed: KeyPackageFormat
) -> None:
    at.book.change(at.token, package_format=mailed)
    await at.desk.send_in_other_format(await at.somebody())

    assert [resend.package_format for resend in at.resends.queued] == [
        KeyPackageFormat.MODERN if mailed is KeyPackageFormat.COMPATIBLE else KeyPackageFormat.COMPATIBLE
    ]


async def test_the_key_mail_is_not_sent_again_beyond_the_budget(at: Desk) -> None:
    at.resends.has_room = False

    with pytest.raises(ResendRefused):
        await at.desk.send_in_other_format(await at.somebody())


@pytest.mark.parametrize(
    ("way", "mailed"), [(KeyDelivery.ATTACHMENT, True), (KeyDelivery.BOTH, True), (KeyDelivery.LINK, False)]
)
async def test_knows_whether_the_key_goes_by_mail_at_all(at: Desk, way: KeyDelivery, *, mailed: bool) -> None:
    organization = replace(an_organization(), correspondence=Correspondence(key_delivery=way))
    at.book.change(at.token, organization=organization)

    assert (await at.somebody()).is_mailed is mailed


async def test_a_recipient_shows_no_secret(at: Desk) -> None:
    assert "SealedSecret" not in repr(await at.somebody())


async def test_names_the_authority_as_devices_do(at: Desk) -> None:
    recipient = await at.somebody()

    assert recipient.authority == "Example Root 2026"
    assert recipient.chain[-1] == recipient.chain[1]


def test_the_file_has_the_name_it_has_in_the_mail(authority: Authority) -> None:
    assert KEY_FILE_NAME == FILE_NAME
    assert authority.root.certificate.public_bytes(Encoding.DER)
