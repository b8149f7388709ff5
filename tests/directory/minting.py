"""Everything real that a mint needs, in one process: an authority, a store, keys made beforehand."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from ca.keys import KeyAlgorithm, PrivateKey, to_pkcs8
from ca.profiles import Purpose
from ca.sealing import Sealer
from directory.certificatemaker import CertificateMaker, CertificateMakers
from directory.clock import Clock
from directory.enrolment import Enroller, MintRules
from directory.limits import MintRates, Rate
from directory.mint_ports import FreshEnrolment, MailClaim, MintStore, Postman
from directory.organization import Organization
from directory.steps import StepListener, ignore_step
from directory.store.database import Database
from directory.store.inspection import SqlStoreInspector
from directory.store.issuers import SqlIssuers
from directory.store.mint import SqlMintStore
from directory.timekeeping import Doubt, never_doubted
from directory.verification import Verification, Violation
from directory.wiring.signers import ca_key_identity
from tests.builders import Authority, a_profile
from tests.contracts.world import NOW, SEALER, Store, an_event, an_issuer
from tests.directory.clocks import StoppedClock

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class ReadyKeys:
    """Gives out keys that were made beforehand, each once; then nothing more."""

    def __init__(self, keys: Sequence[PrivateKey]) -> None:
        self._left = list(keys)
        self.taken = 0

    def take(self, algorithm: KeyAlgorithm) -> Future[PrivateKey]:
        del algorithm
        future: Future[PrivateKey] = Future()
        self.taken += 1
        if self._left:
            future.set_result(self._left.pop(0))
        return future


class QuietPostman:
    """A postman who has room or not, and keeps what he is told."""

    def __init__(self, claim: MailClaim | None = None) -> None:
        self.claim = claim
        self.kept_room: list[datetime] = []
        self.told: list[FreshEnrolment] = []

    @contextmanager
    def room(self, now: datetime) -> Iterator[MailClaim | None]:
        self.kept_room.append(now)
        yield self.claim

    def enrolled(self, enrolment: FreshEnrolment) -> None:
        self.told.append(enrolment)


def rates(
    *, gateway_hour: int = 0, gateway_day: int = 0, organization_day: int = 0, recipient_day: int = 0
) -> MintRates:
    """Return limits, switched off but for those given."""
    return MintRates(
        gateway_hour=Rate(burst=gateway_hour, period=HOUR),
        gateway_day=Rate(burst=gateway_day, period=DAY),
        organization_day=Rate(burst=organization_day, period=DAY),
        recipient_day=Rate(burst=recipient_day, period=DAY),
        domain_day=Rate(burst=0, period=DAY),
    )


def rules(limits: MintRates | None = None, *, patience: timedelta = timedelta(seconds=60)) -> MintRules:
    return MintRules(
        rates=limits or rates(),
        patience=patience,
        delivery_lifetime=timedelta(days=5),
        retry_after=timedelta(seconds=5),
    )


async def found_authority(store: Store, authority: Authority) -> None:
    """Put the authority's root and issuing CA in the place of those that are nothing but a name."""
    await store.sql("DELETE FROM issuers WHERE id = 'issuing-1'", "DELETE FROM issuers WHERE id = 'root-1'")
    issuers = SqlIssuers(store.database, node="setup")
    parent_id = None
    for issuer, key, purpose, age in (
        (authority.root, authority.root_key, Purpose.ROOT_CA, DAY),
        (authority.issuer, authority.issuing_key, Purpose.ISSUING_CA, HOUR),
    ):
        identity = ca_key_identity(issuer.key_id)
        stored = replace(
            an_issuer(issuer.key_id, parent_id=parent_id, purpose=purpose, created_at=NOW - age),
            subject=issuer.name.rfc4514_string(),
            certificate=issuer.certificate.public_bytes(Encoding.DER),
            serial=issuer.certificate.serial_number,
            not_before=issuer.certificate.not_valid_before_utc,
            not_after=issuer.certificate.not_valid_after_utc,
            sealed_key=SEALER.seal(to_pkcs8(key), identity),
        )
        await issuers.add(stored, an_event())
        parent_id = issuer.key_id


def a_maker(authority: Authority) -> CertificateMaker:
    return CertificateMaker(
        issuer=authority.issuer,
        issuer_id=authority.issuer.key_id,
        chain=tuple(
            issuer.certificate.public_bytes(Encoding.DER) for issuer in (authority.issuer, authority.root)
        ),
        profile=a_profile(),
    )


class OneMaker:
    """One issuing CA for everybody, or none."""

    def __init__(self, maker: CertificateMaker | None) -> None:
        self._maker = maker

    def maker(self, organization: Organization, now: datetime) -> CertificateMaker | None:
        del organization, now
        return self._maker


def an_enroller(
    database: Database,
    authority: Authority,
    keys: ReadyKeys,
    *,
    clock: Clock | None = None,
    sealer: Sealer = SEALER,
    mint_rules: MintRules | None = None,
    postman: Postman | None = None,
    doubt: Doubt = never_doubted,
    on_step: StepListener = ignore_step,
    makers: CertificateMakers | None = None,
    mint_store: MintStore | None = None,
) -> Enroller:
    return Enroller(
        store=mint_store or SqlMintStore(database, node="node-1"),
        keys=keys,
        makers=makers or OneMaker(a_maker(authority)),
        sealer=sealer,
        rules=mint_rules or rules(),
        clock=clock or StoppedClock(),
        postman=postman or QuietPostman(),
        doubt=doubt,
        on_step=on_step,
    )


async def violations(
    database: Database, *, clock: Clock | None = None, sealer: Sealer = SEALER
) -> list[Violation]:
    """Return what `pushpki verify` would find."""
    verification = Verification(
        inspector=SqlStoreInspector(database), sealer=sealer, clock=clock or StoppedClock()
    )
    return [violation async for violation in verification.violations()]
