"""Certificates of a gateway's own key: once per address, found before anything minted, and revocable."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.address import Mailbox, MailDomain
from ca.keyrequests import KeyRequest
from ca.keys import PrivateKey, key_hash
from ca.revocation import RevocationReason
from directory.audit import AuditKind
from directory.certificatemaker import CertificateMaker
from directory.errors import ConfigurationRefused, KeyBlocked
from directory.lookup import Found, Lookup, Origin, PublishedCertificate, Question
from directory.organization import Organization
from directory.policy import MintPolicy
from directory.proxies import ProxyCertification, refuse_other_names
from directory.revocation import Revocation
from directory.store.audit_log import read_chain
from directory.store.lookup import SqlDirectoryReader
from directory.store.proxies import SqlProxies
from directory.store.revocations import SqlRevocationStore
from tests.builders import Authority, a_profile
from tests.contracts.world import Store
from tests.directory.builders import a_gateway, an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.minting import ReadyKeys, an_enroller, found_authority, violations

HOUSE = an_organization()
(DOMAIN,) = HOUSE.domains
EVA, OTTO = (Mailbox.parse(f"{name}@{DOMAIN}") for name in ("eva", "otto"))
WHOLE_DOMAIN = Mailbox.parse(f"domain-confidentiality-authority@{DOMAIN}")


class Desk:
    """An operator with a key to certify."""

    def __init__(self, store: Store, authority: Authority, key: PrivateKey) -> None:
        self.key = key.public_key()
        self.certification = ProxyCertification(
            store=SqlProxies(store.database, node="desk"),
            maker=CertificateMaker(
                issuer=authority.issuer, issuer_id=authority.issuer.key_id, chain=(), profile=a_profile()
            ),
            clock=StoppedClock(),
            actor="operator:olga",
        )

    async def certify(
        self, *mailboxes: Mailbox, organization: Organization = HOUSE
    ) -> Sequence[PublishedCertificate]:
        return await self.certification.certify(organization, mailboxes, self.key)


@pytest.fixture
async def desk(store: Store, authority: Authority, recipient_key: PrivateKey) -> Desk:
    await found_authority(store, authority)
    return Desk(store, authority, recipient_key)


@pytest.fixture
def lookup(store: Store, authority: Authority) -> Lookup:
    return Lookup(
        reader=SqlDirectoryReader(store.database),
        policy=MintPolicy(),
        minter=an_enroller(store.database, authority, ReadyKeys([])),
        clock=StoppedClock(),
        patience=timedelta(minutes=1),
    )


def revocation(store: Store) -> Revocation:
    return Revocation(store=SqlRevocationStore(store.database, node="desk"), clock=StoppedClock())


async def test_several_addresses_have_certificates_of_one_key(
    store: Store, desk: Desk, lookup: Lookup
) -> None:
    published = await desk.certify(EVA, OTTO)

    assert [one.mailbox for one in published] == [EVA, OTTO]
    for one in published:
        certificate = x509.load_der_x509_certificate(one.der)
        assert certificate.public_key() == desk.key
        assert certificate.subject.rfc4514_string().endswith(str(one.mailbox))
        answer = await lookup.answer(Question(mailbox=one.mailbox, asker=a_gateway()))
        assert answer == Found(certificate=one)
    assert {one.origin for one in published} == {Origin.FOUND}
    assert await violations(store.database) == []


@pytest.mark.parametrize("question", [MailDomain(domain=DOMAIN), WHOLE_DOMAIN])
async def test_a_whole_domain_is_bound_under_the_name_of_rfc_3183(
    desk: Desk, lookup: Lookup, question: MailDomain | Mailbox
) -> None:
    (published,) = await desk.certify(WHOLE_DOMAIN)

    assert await lookup.answer(Question(mailbox=question, asker=a_gateway())) == Found(certificate=published)


async def test_doing_it_again_certifies_only_what_is_missing(store: Store, desk: Desk) -> None:
    await desk.certify(EVA)

    assert [one.mailbox for one in await desk.certify(EVA, OTTO, OTTO)] == [OTTO]
    assert await store.count("certificates") == 2


async def test_the_audit_log_says_who_bound_what_to_which_key(store: Store, desk: Desk) -> None:
    await desk.certify(EVA, WHOLE_DOMAIN)

    events = [chained.event async for chained in read_chain(store.database, "desk", 10)]

    assert [event.kind for event in events] == [AuditKind.PROXY_CERTIFIED] * 2
    assert [event.detail["purpose"] for event in events] == ["proxy", "domain"]
    assert {(event.actor, event.organization_id, event.detail["key"]) for event in events} == {
        ("operator:olga", HOUSE.organization_id, key_hash(desk.key).hex())
    }


async def test_nobody_elses_address_is_bound_to_it(store: Store, desk: Desk) -> None:
    with pytest.raises(ConfigurationRefused):
        await desk.certify(EVA, Mailbox.parse("anna@example.org"))

    assert await store.count("certificates") == 0


async def test_no_address_at_all_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigurationRefused):
        await desk.certify()


async def test_revoked_for_compromise_the_key_is_certified_no_more(store: Store, desk: Desk) -> None:
    await desk.certify(EVA)
    await revocation(store).revoke_key(key_hash(desk.key), RevocationReason.KEY_COMPROMISE, "operator:olga")

    with pytest.raises(KeyBlocked):
        await desk.certify(OTTO)

    assert await store.count("certificates") == 1


async def test_revoked_for_another_reason_it_can_be_certified_anew(store: Store, desk: Desk) -> None:
    await desk.certify(EVA)
    await revocation(store).revoke_address(EVA, RevocationReason.SUPERSEDED, "operator:olga")

    assert len(await desk.certify(EVA)) == 1


async def test_an_isolated_organization_keeps_its_own(store: Store, desk: Desk) -> None:
    isolated = an_organization(isolated=True)

    await desk.certify(EVA, organization=isolated)

    assert await store.rows("SELECT scope FROM certificates") == [(isolated.organization_id,)]


async def test_a_gateway_may_have_an_elliptic_key(store: Store, authority: Authority) -> None:
    await found_authority(store, authority)
    desk = Desk(store, authority, ec.generate_private_key(ec.SECP256R1()))

    (published,) = await desk.certify(EVA)

    usage = x509.load_der_x509_certificate(published.der).extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.value.key_agreement


def test_a_request_may_name_those_who_are_certified_and_nobody_else(recipient_key: PrivateKey) -> None:
    key = recipient_key.public_key()
    refuse_other_names(KeyRequest(public_key=key, mailboxes=frozenset({EVA})), [EVA, OTTO])
    refuse_other_names(KeyRequest(public_key=key, mailboxes=frozenset()), [EVA])

    with pytest.raises(ConfigurationRefused) as refused:
        refuse_other_names(KeyRequest(public_key=key, mailboxes=frozenset({EVA, OTTO})), [EVA])
    assert str(OTTO) in refused.value.reason
