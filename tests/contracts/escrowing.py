"""What the contracts about escrowed keys hold to: a certificate that is active, a key that is escrowed."""

from datetime import timedelta

from ca.escrow import RecoveryCertificate
from directory.audit import AuditEvent, AuditKind
from directory.callers import RecoveryAgent
from directory.escrowing import SealedAway
from directory.holds import EndedHold
from directory.organization import KeyFate
from directory.recovery_requests import Requester
from directory.store.database import Database
from directory.store.escrows import SqlEscrows
from directory.store.recovery_setup import SqlRecoverySetup
from tests.contracts.following import deliver
from tests.contracts.world import NOW, a_reservation, an_enrolment, an_event, record
from tests.directory.builders import an_agent
from tests.recoverykeys import a_recovery_certificate

HOLD = timedelta(days=7)  # as the builders have it
GRACE = timedelta(days=7)
OVER = NOW + HOLD
ENVELOPE = b"an envelope that nobody here can open"

DESK = Requester.registration_agent(an_agent())


async def activate(database: Database, certificate: RecoveryCertificate | None = None) -> RecoveryCertificate:
    """Let keys be escrowed to a certificate."""
    certificate = certificate or a_recovery_certificate()
    register = SqlRecoverySetup(database, node="setup")
    if certificate.fingerprint not in {one.certificate.fingerprint for one in await register.certificates()}:
        await register.add_certificate(certificate, an_event())
    await register.activate_certificate(certificate.fingerprint, an_event())
    return certificate


async def deliver_to_be_escrowed(database: Database, enrolment_id: str = "enrolment-1") -> None:
    """Mint for an organization that escrows keys, and have the key mail accepted."""
    reservation = a_reservation(enrolment_id)
    await record(database, an_enrolment(reservation, key_fate=KeyFate.ESCROW))
    await deliver(database)


def sealed_away(
    enrolment_id: str = "enrolment-1", *, certificate: RecoveryCertificate | None = None
) -> SealedAway:
    return SealedAway(
        enrolment_id=enrolment_id,
        envelope=ENVELOPE,
        recovery_certificate_id=(certificate or a_recovery_certificate()).fingerprint,
    )


def an_escrow_event(ended: EndedHold, sealed: SealedAway) -> AuditEvent:
    return AuditEvent(
        kind=AuditKind.KEY_ESCROWED,
        at=OVER,
        actor="service",
        subject=ended.enrolment_id,
        organization_id=ended.organization_id,
        detail={"because": ended.because.value, "recovery_certificate": sealed.recovery_certificate_id},
    )


async def escrow_key(database: Database, enrolment_id: str = "enrolment-1") -> None:
    """Have a key escrowed."""
    await activate(database)
    await deliver_to_be_escrowed(database, enrolment_id)
    escrows = SqlEscrows(database, node="node-1")
    assert (
        await escrows.record_escrows(
            [sealed_away(enrolment_id)], now=OVER, ended_before=OVER - GRACE, event_of=an_escrow_event
        )
        == 1
    )


async def add_recovery_agents(database: Database, *agents: RecoveryAgent) -> None:
    for agent in agents:
        await SqlRecoverySetup(database, node="setup").add_agent(
            agent, token_id=f"token-of-{agent.agent_id}", token_digest=b"digest", event=an_event()
        )
