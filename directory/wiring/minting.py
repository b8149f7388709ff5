"""What mints? The authority, its keys and rules, put together for `serve` and for a single lookup."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509

from ca.address import Mailbox
from ca.errors import KeyRefused, LintFailed, ProfileRefused
from ca.issuance import Issuer
from ca.keypool import KeyPool
from ca.keys import PublicKey
from ca.linting import Linter
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from directory.enrolment import CertificateMaker, Enroller, MintRules
from directory.errors import ConfigurationRefused
from directory.limits import MintRates, Rate
from directory.lookup import Answer, Lookup, Minter
from directory.mint_ports import FreshEnrolment, MailClaim, Postman
from directory.policy import MintContext, MintPolicy
from directory.settings import Settings
from directory.steps import StepListener, ignore_step
from directory.store.lookup import SqlDirectoryReader
from directory.store.mint import SqlMintStore
from directory.timekeeping import Doubt, never_doubted
from directory.wiring.installation import Installation
from directory.wiring.timekeeping import timekeeper

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
    threads = settings.ca.key_pool_threads or os.cpu_count() or 1
    return KeyPool(settings.ca.key_algorithm, target=settings.ca.key_pool_size, threads=threads)


async def certificate_maker(installation: Installation) -> CertificateMaker:
    """Load the active issuing CA, with the profile it is to certify recipients by.

    Raises:
        ConfigurationRefused: the issuing CA's key is not in the database, or the profile is refused.
        Unknown: there is no issuing CA.
        SealBroken: its key does not open.
    """
    settings = installation.settings
    found = await installation.issuers.active()
    active, chain = found.issuer, found.chain
    try:
        signer = installation.signers.of_issuer(active)
    except KeyRefused as error:
        raise ConfigurationRefused(key="ca", reason=str(error)) from error
    linter = Linter()
    linter.warm()
    with _naming_the_key():
        issuer = Issuer(
            x509.load_der_x509_certificate(active.certificate),
            signer,
            Publication(settings.ca.public_url),
            linter,
            scheme=settings.ca.signature,
        )
        return CertificateMaker(
            issuer=issuer, issuer_id=active.issuer_id, chain=chain, profile=recipient_profile(settings)
        )


def rehearse(maker: CertificateMaker, public_key: PublicKey, now: datetime) -> None:
    """Find out at start, not at the first lookup, that recipients can be certified as configured.

    Raises:
        ConfigurationRefused: they cannot.
    """
    with _naming_the_key():
        maker.issuer.rehearse(maker.profile, public_key, now)


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
        reserved_local_parts=policy.reserved_local_parts, reserved_domains=policy.reserved_domains
    )


def enroller(
    installation: Installation,
    *,
    maker: CertificateMaker,
    keys: KeyPool,
    postman: Postman,
    doubt: Doubt = never_doubted,
    on_step: StepListener = ignore_step,
    rules: MintRules | None = None,
    actor: str | None = None,
) -> Enroller:
    """Return what mints; `actor` is who asks in a gateway's name, where it is not the gateway itself."""
    return Enroller(
        store=SqlMintStore(installation.database, node=installation.node),
        keys=keys,
        maker=maker,
        sealer=installation.sealer,
        rules=rules or mint_rules(installation.settings),
        clock=installation.clock,
        postman=postman,
        doubt=doubt,
        on_step=on_step,
        actor=actor,
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
            ConfigurationRefused, SealBroken, Unknown: see `certificate_maker`.
            StoreUnavailable: the database does not answer.
        """
        installation = self._installation
        rules = replace(mint_rules(installation.settings), patience=A_PERSONS_PATIENCE)
        with KeyPool(installation.settings.ca.key_algorithm, target=0, threads=1) as keys:
            maker = await certificate_maker(installation)
            keeper = timekeeper(installation)
            await keeper.compare()
            minter = enroller(
                installation,
                maker=maker,
                keys=keys,
                postman=_LeftToTheService(),
                doubt=keeper.doubt,
                rules=rules,
                actor=self._actor,
            )
            try:
                return await minter.mint(mailbox, context)
            finally:
                await minter.settle()
