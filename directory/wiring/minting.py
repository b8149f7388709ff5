"""What mints? The authority, its keys and rules, put together for `serve` and for a single lookup."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from cryptography import x509

from ca.issuance import Issuer
from ca.keypool import KeyPool
from ca.keys import unsafe_from_sealed_pkcs8
from ca.linting import Linter
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.signers import SoftwareSigner
from directory.enrolment import CertificateMaker, Enroller, MintRules
from directory.errors import ConfigurationRefused
from directory.limits import MintRates, Rate
from directory.lookup import Lookup
from directory.policy import MintPolicy
from directory.settings import Settings
from directory.steps import StepListener, ignore_step
from directory.store.lookup import SqlDirectoryReader
from directory.store.mint import SqlMintStore
from directory.wiring.installation import Installation, ca_key_identity

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_PROFILES = {"encryption": Purpose.RECIPIENT_ENCRYPTION, "dual": Purpose.RECIPIENT_DUAL}


def key_pool(settings: Settings) -> KeyPool:
    """Return the pool of key pairs, not yet started."""
    threads = settings.ca.key_pool_threads or os.cpu_count() or 1
    return KeyPool(settings.ca.key_algorithm, target=settings.ca.key_pool_size, threads=threads)


async def certificate_maker(installation: Installation) -> CertificateMaker:
    """Load the active issuing CA, and rehearse a certificate of the configured profile with it.

    Raises:
        ConfigurationRefused: the issuing CA's key is not in the database.
        Unknown: there is no issuing CA.
        SealBroken: its key does not open.
        ProfileRefused, KeyRefused, LintFailed: recipients cannot be certified as configured.
    """
    settings = installation.settings
    active = (await installation.issuers.active()).issuer
    if active.sealed_key is None:
        raise ConfigurationRefused(key="ca", reason=f"the key of issuing CA {active.issuer_id} is not here")
    key = unsafe_from_sealed_pkcs8(
        installation.sealer.unseal(active.sealed_key, ca_key_identity(active.issuer_id))
    )
    linter = Linter()
    linter.warm()
    issuer = Issuer(
        x509.load_der_x509_certificate(active.certificate),
        SoftwareSigner(key),
        Publication(settings.ca.public_url),
        linter,
    )
    return CertificateMaker(issuer=issuer, issuer_id=active.issuer_id, profile=recipient_profile(settings))


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


def enroller(
    installation: Installation,
    *,
    maker: CertificateMaker,
    keys: KeyPool,
    on_enrolled: Callable[[], None],
    on_step: StepListener,
) -> Enroller:
    """Return what mints."""
    return Enroller(
        store=SqlMintStore(installation.database, node=installation.node),
        keys=keys,
        maker=maker,
        sealer=installation.sealer,
        rules=mint_rules(installation.settings),
        clock=installation.clock,
        on_enrolled=on_enrolled,
        on_step=on_step,
    )


def lookup(installation: Installation, minter: Enroller) -> Lookup:
    """Return what answers questions."""
    policy = installation.settings.policy
    return Lookup(
        reader=SqlDirectoryReader(installation.database),
        policy=MintPolicy(
            reserved_local_parts=policy.reserved_local_parts, reserved_domains=policy.reserved_domains
        ),
        minter=minter,
        clock=installation.clock,
    )


@asynccontextmanager
async def minting_lookup(installation: Installation) -> AsyncIterator[Lookup]:
    """Answer questions in a process that serves nobody else; the key mail is left to the service.

    Raises:
        ConfigurationRefused, SealBroken, Unknown, ProfileRefused, KeyRefused, LintFailed: see
            `certificate_maker`.
    """
    settings = installation.settings
    with KeyPool(settings.ca.key_algorithm, target=0, threads=1) as keys:
        minter = enroller(
            installation,
            maker=await certificate_maker(installation),
            keys=keys,
            on_enrolled=lambda: None,
            on_step=ignore_step,
        )
        yield lookup(installation, minter)
        await minter.settle()
