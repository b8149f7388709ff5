"""What adds issuing CAs? The desk, with the keys that it seals and opens."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from cryptography import x509

from ca.issuance import Issuer
from ca.keys import KeyAlgorithm, PrivateKey, to_pkcs8, unsafe_from_sealed_pkcs8
from ca.linting import Linter
from ca.publication import Publication
from ca.sealing import SealedSecret
from ca.signers import MadeKey
from directory.crl_import import CrlDesk
from directory.crosscertificates import CrossDesk
from directory.hierarchy import StoredIssuer
from directory.issuer_revocation import InterruptedRevocations, IssuerRevocation
from directory.issuing import IssuingDesk
from directory.roots import RootDesk
from directory.rounds import end_within
from directory.store.crls import SqlCrlStore
from directory.store.cross_certificates import SqlCrossCertificates
from directory.store.issuer_revocations import SqlIssuerRevocations
from directory.store.issuing import SqlIssuing
from directory.store.spare_keys import SqlSpareKeys
from directory.succession import Succession
from directory.timekeeping import Doubt
from directory.wiring.installation import Installation
from directory.wiring.signers import ca_key_identity
from directory.withdrawal import WithdrawalDesk

_PATIENCE_AT_STOP: Final = timedelta(seconds=5)
"""So long a stop waits for an issuing CA that is being made. A token may take minutes for its key: the next
start has another one made, and `pushpki ca token list` shows this one as nobody's."""


class SealedKeys:
    """Issuers' private keys, sealed in the database."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def make(self, algorithm: KeyAlgorithm, name: str, *, in_token: bool) -> MadeKey:
        """Make a key pair for an issuer of this name; takes a while.

        Raises:
            KeyRefused, SignerUnavailable: there is no token, or it makes none.
        """
        return self._installation.signers.make_key(algorithm, name, in_token=in_token)

    def seal(self, key: PrivateKey, issuer_id: str) -> SealedSecret:
        """Seal a key for this issuer alone."""
        return self._installation.sealer.seal(to_pkcs8(key), ca_key_identity(issuer_id))

    def try_key(self, issuer: StoredIssuer) -> None:
        """Let the key of an issuer sign a trial, and check it by the certificate; takes a while.

        Raises:
            TokenKeyMissing: it is not in its token any more.
            CaError: it is not here, does not open, or is another one.
        """
        self._installation.signers.try_key(issuer)

    def unseal(self, sealed: SealedSecret, issuer_id: str) -> PrivateKey:
        """Open it.

        Raises:
            SealBroken: it does not open.
        """
        return unsafe_from_sealed_pkcs8(self._installation.sealer.unseal(sealed, ca_key_identity(issuer_id)))

    def open(self, issuer: StoredIssuer) -> Issuer:
        """Return the issuer at work; takes a while.

        Raises:
            CaError: its key is not here, or does not open.
        """
        settings = self._installation.settings.ca
        return Issuer(
            x509.load_der_x509_certificate(issuer.certificate),
            self._installation.signers.of_issuer(issuer),
            Publication(settings.public_url),
            Linter(),
            scheme=settings.signature,
        )


@asynccontextmanager
async def tending_issuers(installation: Installation, doubt: Doubt) -> AsyncIterator[None]:
    """Make the next issuing CAs in time, and go on with ends of others, until the context ends."""
    async with preparing(installation, doubt), resuming(installation):
        yield


@asynccontextmanager
async def preparing(installation: Installation, doubt: Doubt) -> AsyncIterator[None]:
    """Make the next issuing CAs in time, where that is wanted, until the context ends."""
    settings = installation.settings.ca
    if settings.prepare_next_days == 0:
        yield
        return
    succession = Succession(
        workshop=issuing_desk(installation, "service"),
        validity=timedelta(days=settings.validity_days),
        before=timedelta(days=settings.prepare_next_days),
        doubt=doubt,
        clock=installation.clock,
        uniform=random.SystemRandom().uniform,
    )
    task = asyncio.create_task(succession.run(), name="succession")
    try:
        yield
    finally:
        succession.stop()
        await end_within(_PATIENCE_AT_STOP, task)


@asynccontextmanager
async def resuming(installation: Installation) -> AsyncIterator[None]:
    """Go on with revocations of issuing CAs that were interrupted, until the context ends."""
    interrupted = InterruptedRevocations(
        revocation=issuer_revocation(installation, "service"), uniform=random.SystemRandom().uniform
    )
    task = asyncio.create_task(interrupted.run(), name="interrupted revocations")
    try:
        yield
    finally:
        interrupted.stop()
        await task


def crl_desk(installation: Installation, actor: str) -> CrlDesk:
    """Return the use cases of an operator who carries CRLs."""
    store = SqlCrlStore(installation.database, node=installation.node)
    return CrlDesk(store=store, clock=installation.clock, actor=actor)


def root_desk(installation: Installation, actor: str) -> RootDesk:
    """Return the use cases of an operator who takes a root off line."""
    return RootDesk(
        register=installation.issuers,
        keys=SealedKeys(installation),
        crls=crl_desk(installation, actor),
        traces=installation.database,
        scheme=installation.settings.ca.signature,
        clock=installation.clock,
        actor=actor,
    )


def issuer_revocation(installation: Installation, actor: str) -> IssuerRevocation:
    """Return the use case that gives issuing CAs up."""
    store = SqlIssuerRevocations(installation.database, node=installation.node)
    return IssuerRevocation(store=store, clock=installation.clock, actor=actor)


def cross_desk(installation: Installation, actor: str) -> CrossDesk:
    """Return the use cases of an operator who looks after cross-certificates."""
    return CrossDesk(
        store=SqlCrossCertificates(installation.database, node=installation.node),
        keys=SealedKeys(installation),
        clock=installation.clock,
        actor=actor,
    )


def issuing_desk(installation: Installation, actor: str) -> IssuingDesk:
    """Return the use cases of an operator who adds issuing CAs."""
    return IssuingDesk(
        store=SqlIssuing(installation.database, node=installation.node),
        keys=SealedKeys(installation),
        clock=installation.clock,
        actor=actor,
    )


def withdrawal_desk(installation: Installation, actor: str) -> WithdrawalDesk:
    """Return the use case of an operator who gives requests for issuing CAs up."""
    return WithdrawalDesk(
        store=SqlIssuing(installation.database, node=installation.node),
        spare=SqlSpareKeys(installation.database, node=installation.node),
        keys=installation.signers,
        clock=installation.clock,
        actor=actor,
    )
