"""What is due is sealed to the recovery certificate; without a valid one nothing happens, and it is said."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca.escrow import open_escrow
from ca.keys import PrivateKey, same_key, to_pkcs8
from directory.audit import AuditEvent
from directory.enrolmentsecrets import recipient_key_identity
from directory.escrowing import DueEscrow, EscrowEvent, Escrowing, SealedAway
from directory.holds import EndedHold, HoldEnd
from tests.builders import NOW, Authority, a_certificate
from tests.contracts.world import SEALER
from tests.recoverykeys import a_recovery_certificate, a_recovery_key

GRACE = timedelta(days=3)


@dataclass
class Vault:
    """Has so much that is due."""

    due: list[DueEscrow]
    certificate: bytes | None = field(default_factory=lambda: a_recovery_certificate().der)
    kept: list[SealedAway] = field(default_factory=list)
    events: list[AuditEvent] = field(default_factory=list)

    async def active_recovery_certificate(self) -> bytes | None:
        return self.certificate

    async def due_for_escrow(
        self, *, now: datetime, ended_before: datetime, after: DueEscrow | None, most: int
    ) -> Sequence[DueEscrow]:
        assert ended_before == now - GRACE
        behind = "" if after is None else after.enrolment_id
        ordered = sorted(self.due, key=lambda one: one.enrolment_id)
        return [one for one in ordered if one.enrolment_id > behind][:most]

    async def record_escrows(
        self,
        sealed: Sequence[SealedAway],
        *,
        now: datetime,
        ended_before: datetime,
        event_of: EscrowEvent,
    ) -> int:
        assert ended_before == now - GRACE
        for one in sealed:
            ended = EndedHold(
                enrolment_id=one.enrolment_id, organization_id="org-1", serial="f", because=HoldEnd.OVER
            )
            self.events.append(event_of(ended, one))
        self.kept += sealed
        self.due = [one for one in self.due if one.enrolment_id not in {away.enrolment_id for away in sealed}]
        return len(sealed)


@pytest.fixture
def due(authority: Authority, recipient_key: PrivateKey) -> DueEscrow:
    certificate = a_certificate(authority, recipient_key.public_key())
    return DueEscrow(
        enrolment_id="enrolment-1",
        organization_id="org-1",
        certificate=certificate.public_bytes(Encoding.DER),
        chain=tuple(one.public_bytes(Encoding.DER) for one in authority.chain),
        sealed_key=SEALER.seal(to_pkcs8(recipient_key), recipient_key_identity("enrolment-1", "org-1")),
        over_since=NOW,
    )


def escrowing(vault: Vault, *, most: int = 10) -> Escrowing:
    return Escrowing(store=vault, sealer=SEALER, grace=GRACE, most=most)


async def test_what_is_due_is_sealed_with_its_certificates_and_put_on_record(
    due: DueEscrow, recipient_key: PrivateKey
) -> None:
    vault = Vault([due])

    assert [await escrowing(vault).perform(NOW) for _ in range(2)] == [1, 0]

    (away,) = vault.kept
    certificate, recovery_key = a_recovery_key()
    opened = open_escrow(away.envelope, recovery_key, certificate)
    assert same_key(opened.private_key.public_key(), recipient_key.public_key())
    assert [one.public_bytes(Encoding.DER) for one in (opened.certificate, *opened.chain)] == [
        due.certificate,
        *due.chain,
    ]
    (event,) = vault.events
    assert (event.kind.value, event.actor, event.subject) == ("key.escrowed", "service", "enrolment-1")
    assert event.detail == {
        "serial": "f",
        "because": "hold_over",
        "recovery_certificate": a_recovery_certificate().fingerprint,
        "envelope_sha256": away.envelope_sha256,
    }


async def test_without_a_recovery_certificate_nothing_is_done_and_it_is_said(
    due: DueEscrow, caplog: pytest.LogCaptureFixture
) -> None:
    vault = Vault([due], certificate=None)

    with caplog.at_level(logging.ERROR):
        assert await escrowing(vault).perform(NOW) == 0

    assert vault.kept == []
    assert "no recovery certificate is active" in caplog.text


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=6 * 365)])
async def test_a_recovery_certificate_that_is_not_valid_now_is_none(
    due: DueEscrow, caplog: pytest.LogCaptureFixture, off: timedelta
) -> None:
    vault = Vault([due])

    with caplog.at_level(logging.ERROR):
        assert await escrowing(vault).perform(NOW + off) == 0

    assert vault.kept == []
    assert "is not valid now" in caplog.text


async def test_nothing_is_said_where_nothing_is_due(caplog: pytest.LogCaptureFixture) -> None:
    assert await escrowing(Vault([], certificate=None)).perform(NOW) == 0
    assert caplog.text == ""


@pytest.mark.parametrize("most", [1, 2, 10])
async def test_a_key_that_does_not_open_does_not_hold_the_others_up(
    due: DueEscrow, caplog: pytest.LogCaptureFixture, most: int
) -> None:
    swapped = replace(due, enrolment_id="enrolment-0")
    unreadable = replace(due, enrolment_id="enrolment-00", chain=(b"nothing",))
    vault = Vault([swapped, unreadable, due])
    chore = escrowing(vault, most=most)

    with caplog.at_level(logging.ERROR):
        # What follows in the round must have its turn as well, and the next round looks at all again.
        assert [await chore.perform(NOW) for _ in range(3)] == [1, 0, 0]

    assert [away.enrolment_id for away in vault.kept] == ["enrolment-1"]
    for broken in (swapped, unreadable):
        assert caplog.text.count(f"the key of {broken.enrolment_id} cannot be escrowed") == 2


async def test_a_key_that_is_not_its_certificates_is_not_escrowed(
    authority: Authority, due: DueEscrow
) -> None:
    (other,) = authority.chain[:1]
    vault = Vault([replace(due, certificate=other.public_bytes(Encoding.DER))])

    assert await escrowing(vault).perform(NOW) == 0
    assert vault.kept == []
