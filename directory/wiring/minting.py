"""What mints? The authority, its keys and rules, put together for `serve` and for a single lookup."""

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property

from cryptography import x509

from ca.address import Mailbox
from ca.constraints import name_constraints_of
from ca.errors import KeyRefused, LintFailed, ProfileRefused
from ca.issuance import Issuer
from ca.keypool import KeyPool
from ca.keys import PublicKey
from ca.keyshelf import Watermarks
from ca.linting import CertificateLinter
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from directory.certificatemaker import CertificateMaker, CertificateMakers
from directory.enrolment import Enroller, MintRules
from directory.errors import ConfigurationRefused, Unknown
from directory.hierarchy import StoredIssuer
from directory.limits import Limit, MintRates, Rate
from directory.lookup import Answer, Lookup, Minter
from directory.makers import MakerRoster
from directory.mint_ports import FreshEnrolment, MailClaim, Postman, Renewed
from directory.organization import Organization
from directory.policy import MintContext, MintPolicy
from directory.precedence import MintsFirst
from directory.settings import Settings
from directory.steps import StepListener, ignore_step
from directory.store.lookup import SqlDirectoryReader
from directory.store.mint import SqlMintStore
from directory.timekeeping import Doubt, never_doubted
from directory.wiring.authorities import crl_partitions
from directory.wiring.installation import Installation
from directory.wiring.issuers import sound_issuers
from directory.wiring.linting import in_this_process
from directory.wiring.timekeeping import timekeeper

logger = logging.getLogger(__name__)

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
A_PERSONS_PATIENCE = timedelta(minutes=1)
_SETTING_OF_FIELD = {
    "base_url": "ca.public_url",
    "validity": "ca.validity_days",
    "policy_oid": "ca.policy_oid",
}
_PROFILES = {"encryption": Purpose.RECIPIENT_ENCRYPTION, "dual": Purpose.RECIPIENT_DUAL}


def key_pool(settings: Settings) -> KeyPool:
    """Return the pool of key pairs, not yet started."""
    high, low = settings.ca.key_pool_size, settings.ca.key_pool_low
    marks = Watermarks(low=high // 2 if low is None else low, high=high)
    return KeyPool(settings.ca.key_algorithm, marks=marks, threads=key_threads(settings))


def key_threads(settings: Settings) -> int:
    """Return how many threads make keys."""
    return settings.ca.key_pool_threads or os.cpu_count() or 1


class MakerWorkshop:
    """Opens issuing CAs, with the profile that recipients are certified by.

    They lint by the linter that is given, or else by one of this process.
    """

    def __init__(self, installation: Installation, linter: CertificateLinter | None = None) -> None:
        self._installation = installation
        self._given_linter = linter
        self._settings = installation.settings
        self._signers = installation.signers

    async def open(self, issuer: StoredIssuer, chain: tuple[bytes, ...]) -> CertificateMaker:
        """Open the key of an issuing CA, and the partitions of its CRL.

        Raises:
            ConfigurationRefused: its key is not here, or the profile is refused.
            SealBroken: its key does not open.
            StoreUnavailable: the database does not answer.
        """
        with _naming_the_key():
            publication = Publication(self._settings.ca.public_url)
        partitions = await crl_partitions(self._installation, issuer.issuer_id, publication)
        return await asyncio.to_thread(self._opened, issuer, chain, publication, partitions)

    def _opened(
        self,
        issuer: StoredIssuer,
        chain: tuple[bytes, ...],
        publication: Publication,
        partitions: Sequence[int],
    ) -> CertificateMaker:
        try:
            signer = self._signers.of_issuer(issuer)
        except KeyRefused as error:
            raise ConfigurationRefused(key="ca", reason=str(error)) from error
        settings = self._settings
        with _naming_the_key():
            opened = Issuer(
                x509.load_der_x509_certificate(issuer.certificate),
                signer,
                publication,
                self._linter,
                scheme=settings.ca.signature,
                partitions=partitions,
            )
            return CertificateMaker(
                issuer=opened,
                issuer_id=issuer.issuer_id,
                chain=chain,
                profile=recipient_profile(settings),
                constrained=tuple(
                    certificate
                    for certificate in map(x509.load_der_x509_certificate, chain)
                    if name_constraints_of(certificate) is not None
                ),
            )

    @cached_property
    def _linter(self) -> CertificateLinter:
        return self._given_linter or in_this_process()


def maker_roster(installation: Installation, linter: CertificateLinter | None = None) -> MakerRoster:
    """Return who certifies recipients, not yet looked up."""
    settings = installation.settings
    return MakerRoster(
        register=installation.issuers,
        open_maker=MakerWorkshop(installation, linter).open,
        has_key=installation.signers.has_key,
        only_own=settings.ca.isolated_issuers == "required",
        validity=timedelta(days=settings.ca.validity_days),
        clock=installation.clock,
        uniform=random.SystemRandom().uniform,
    )


@asynccontextmanager
async def making(installation: Installation, linter: CertificateLinter) -> AsyncIterator[MakerRoster]:
    """Have whoever certifies recipients at hand, and look again and again who that is.

    Raises:
        CaError, ConfigurationRefused: whoever certifies now cannot be opened, see `MakerWorkshop`; or an
            issuer is not what it should be.
        StoreUnavailable: the database does not answer.
    """
    await sound_issuers(installation)
    roster = maker_roster(installation, linter)
    await roster.start()
    task = asyncio.create_task(roster.run(), name="issuers")
    try:
        yield roster
    finally:
        roster.stop()
        await task


async def certificate_maker(installation: Installation, organization: Organization) -> CertificateMaker:
    """Open the issuing CA that certifies for an organization now.

    Raises:
        CaError, ConfigurationRefused: as `making`.
        Unknown: there is none.
    """
    await sound_issuers(installation)
    roster = maker_roster(installation)
    await roster.start()
    maker = roster.maker(organization, installation.clock.now())
    if maker is None:
        raise Unknown(kind="issuer", name="active")
    return maker


def rehearse(maker: CertificateMaker, public_key: PublicKey, now: datetime) -> None:
    """Find out at start, not at the first lookup, that recipients can be certified as configured.

    An issuing CA that ends too soon is as good as none: that is only said, for what is there can be served.

    Raises:
        ConfigurationRefused: they cannot.
    """
    with _naming_the_key():
        try:
            maker.issuer.rehearse(maker.profile, public_key, now)
        except ProfileRefused as error:
            if error.field != "validity":
                raise
            logger.error("issuer %s certifies nobody: %s", maker.issuer_id, error.reason)  # noqa: TRY400 - it says all


@contextmanager
def _naming_the_key() -> Iterator[None]:
    """Turn what the authority refuses into the setting that made it refuse."""
    try:
        yield
    except ProfileRefused as error:
        raise ConfigurationRefused(
            key=_SETTING_OF_FIELD.get(error.field, "ca"), reason=error.reason
        ) from error
    except (KeyRefused, LintFailed) as error:
        raise ConfigurationRefused(
            key="ca",
            reason=f"recipients cannot be certified like this: {error}",
            remedy="see ca.public_url, ca.policy_oid and ca.profile",
        ) from error


def recipient_profile(settings: Settings) -> Profile:
    """Return the profile of recipients' certificates.

    Raises:
        ProfileRefused: it asks for what the rules refuse.
    """
    return Profile.from_config(
        ProfileConfig(
            purpose=_PROFILES[settings.ca.profile],
            key_algorithm=settings.ca.key_algorithm,
            validity=timedelta(days=settings.ca.validity_days),
            policy_oid=settings.ca.policy_oid,
            international_local_parts=settings.ca.international_local_parts,
        )
    )


def mint_rules(settings: Settings) -> MintRules:
    """Return the operator's numbers for the mint."""
    limits = settings.limits
    return MintRules(
        rates=MintRates(
            gateway_hour=Rate(burst=limits.gateway_burst, period=_HOUR),
            gateway_day=Rate(burst=limits.gateway_per_day, period=_DAY),
            organization_day=Rate(burst=limits.organization_per_day, period=_DAY),
            recipient_day=Rate(burst=limits.recipient_per_day, period=_DAY),
            domain_day=Rate(burst=limits.domain_per_day, period=_DAY),
        ),
        patience=timedelta(seconds=settings.mint.patience_seconds),
        delivery_lifetime=timedelta(days=settings.mint.delivery_days),
        retry_after=timedelta(seconds=settings.mint.retry_after_seconds),
    )


def mint_policy(settings: Settings) -> MintPolicy:
    """Return the operator's rules about which addresses are never minted."""
    policy = settings.policy
    return MintPolicy(
        reserved_local_parts=policy.reserved_local_parts,
        reserved_domains=policy.reserved_domains,
        international_local_parts=settings.ca.international_local_parts,
    )


def enroller(
    installation: Installation,
    *,
    makers: CertificateMakers,
    keys: KeyPool,
    postman: Postman,
    doubt: Doubt = never_doubted,
    on_step: StepListener = ignore_step,
    rules: MintRules | None = None,
    actor: str | None = None,
    precedence: MintsFirst | None = None,
) -> Enroller:
    """Return what mints; `actor` is who asks in a gateway's name, where it is not the gateway itself."""
    return Enroller(
        store=SqlMintStore(installation.database, node=installation.node),
        keys=keys,
        makers=makers,
        sealer=installation.sealer,
        rules=rules or mint_rules(installation.settings),
        clock=installation.clock,
        postman=postman,
        doubt=doubt,
        on_step=on_step,
        actor=actor,
        under_way=precedence.minting if precedence else nullcontext,
    )


def lookup(installation: Installation, minter: Minter, *, patience: timedelta) -> Lookup:
    """Return what answers questions, in the time that whoever asks has."""
    return Lookup(
        reader=SqlDirectoryReader(installation.database),
        policy=mint_policy(installation.settings),
        minter=minter,
        clock=installation.clock,
        patience=patience,
    )


class _LeftToTheService:
    """The postman of a command: the service finds the key mail in the outbox."""

    def room(self, _now: datetime) -> AbstractContextManager[MailClaim | None]:
        """Have none."""
        return nullcontext()

    def enrolled(self, _enrolment: FreshEnrolment) -> None:
        """Leave it where it is."""


class CommandMinter:
    """Mints for a command, in a process that serves nobody else; the key mail is left to the service.

    Everything it takes is made ready when something is to be minted, which is rare; and a person waits longer
    for a key than a gateway.
    """

    def __init__(self, installation: Installation, actor: str) -> None:
        self._installation = installation
        self._actor = actor

    async def mint(self, mailbox: Mailbox, context: MintContext) -> Answer:
        """Mint once.

        Raises:
            CaError, ConfigurationRefused: whoever certifies cannot be opened.
            StoreUnavailable: the database does not answer.
        """
        async with self._made_ready() as minter:
            return await minter.mint(mailbox, context)

    async def renew(
        self, mailbox: Mailbox, context: MintContext, renewed: Renewed, limits: tuple[Limit, ...] = ()
    ) -> Answer:
        """Mint the certificate that is to succeed another of the address.

        Raises:
            CaError, ConfigurationRefused: whoever certifies cannot be opened.
            StoreUnavailable: the database does not answer.
        """
        async with self._made_ready() as minter:
            return await minter.renew(mailbox, context, renewed, limits)

    @asynccontextmanager
    async def _made_ready(self) -> AsyncIterator[Enroller]:
        installation = self._installation
        rules = replace(mint_rules(installation.settings), patience=A_PERSONS_PATIENCE)
        on_demand = Watermarks(low=0, high=0)
        with KeyPool(installation.settings.ca.key_algorithm, marks=on_demand, threads=1) as keys:
            makers = maker_roster(installation)
            await makers.start()
            keeper = timekeeper(installation)
            await keeper.compare()
            minter = enroller(
                installation,
                makers=makers,
                keys=keys,
                postman=_LeftToTheService(),
                doubt=keeper.doubt,
                rules=rules,
                actor=self._actor,
            )
            try:
                yield minter
            finally:
                await minter.settle()
