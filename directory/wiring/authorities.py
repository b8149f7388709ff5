"""What publishes the authority's own certificates and CRLs? Made before anybody asks, then kept current."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from cryptography import x509

from ca.crllinting import CrlLinter
from ca.publication import Publication
from ca.revocation import CrlIssuer
from ca.signing import SignatureScheme
from directory.audit import AuditEvent, AuditKind
from directory.authorities import AuthorityBoard
from directory.crl_building import ThreadOrProcess
from directory.crl_production import CrlProduction
from directory.crls import CrlRhythm, StandingIssuer
from directory.settings import Settings
from directory.store.crl_partitions import SqlCrlPartitions
from directory.store.crls import SqlCrlStore
from directory.timekeeping import Doubt, never_doubted
from directory.wiring.installation import Installation
from directory.wiring.signers import Signers


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is published, and what keeps it current."""

    board: AuthorityBoard
    production: CrlProduction


class CrlIssuers:
    """Opens issuers' keys for the moment in which they sign a CRL; a root's is not kept in memory for it."""

    def __init__(self, signers: Signers, scheme: SignatureScheme = SignatureScheme.PKCS1) -> None:
        self._signers = signers
        self._scheme = scheme

    def has_key(self, standing: StandingIssuer) -> bool:
        """Tell whether the key of an issuer is here."""
        return self._signers.has_key(standing)

    def open(self, standing: StandingIssuer) -> CrlIssuer:
        """Open the key of an issuer.

        Raises:
            KeyRefused: it is not here, or not the certificate's.
            SealBroken: it does not open.
        """
        certificate = x509.load_der_x509_certificate(standing.certificate)
        signer = self._signers.of_issuer(standing)
        return CrlIssuer(certificate, signer, self._linter, scheme=self._scheme)

    @cached_property
    def _linter(self) -> CrlLinter:
        return CrlLinter()


def crl_rhythm(settings: Settings) -> CrlRhythm:
    """Return how often CRLs are made, and how long they hold."""
    return CrlRhythm(
        interval=timedelta(hours=settings.ca.crl_hours),
        validity=timedelta(days=settings.ca.crl_validity_days),
    )


def crl_production(
    installation: Installation,
    board: AuthorityBoard,
    *,
    doubt: Doubt = never_doubted,
    actor: str = "service",
) -> CrlProduction:
    """Return what makes CRLs and shows them on the board."""
    issuers = CrlIssuers(installation.signers, installation.settings.ca.signature)
    return CrlProduction(
        store=SqlCrlStore(installation.database, node=installation.node),
        board=board,
        builder=ThreadOrProcess(issuers.open),
        has_key=issuers.has_key,
        rhythm=crl_rhythm(installation.settings),
        clock=installation.clock,
        uniform=random.SystemRandom().uniform,
        doubt=doubt,
        actor=actor,
    )


async def crl_partitions(
    installation: Installation, issuer_id: str, publication: Publication, *, actor: str = "service"
) -> Sequence[int]:
    """Return the partitions among which the issuer's certificates are spread from now on, as configured.

    The CRLs of those that are opened are made before a service answers, or seconds later by one that does.
    """
    count = installation.settings.ca.crl_partitions
    partitions = SqlCrlPartitions(installation.database, node=installation.node)
    event = AuditEvent(
        kind=AuditKind.CRL_PARTITIONED, at=installation.clock.now(), actor=actor, subject=issuer_id, detail={}
    )
    return await partitions.usable(issuer_id, publication, count, event) if count else ()


async def publish(installation: Installation, doubt: Doubt) -> Published:
    """Make what is due, and publish what is current.

    Raises:
        CaError: an issuer has no CRL that holds, and cannot make one.
        StoreUnavailable: the database does not answer.
    """
    board = AuthorityBoard()
    production = crl_production(installation, board, doubt=doubt)
    await production.start()
    return Published(board=board, production=production)


@asynccontextmanager
async def publishing(published: Published) -> AsyncIterator[None]:
    """Keep what is published current until the context ends."""
    task = asyncio.create_task(published.production.run(), name="CRLs")
    try:
        yield
    finally:
        published.production.stop()
        await task
