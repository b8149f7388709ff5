"""Desks that answer OCSP requests: good values, one deviation at a time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ca.ocsp import Good, OcspResponder, Revoked
from ca.ocsprequests import IdHash, IssuerMark
from ca.revocation import RevocationReason
from directory.clock import Clock
from directory.errors import StoreUnavailable
from directory.ocsp import IssuedCertificate, OcspDesk, OcspRules
from directory.ocsp_memory import OcspMemory
from directory.ocsp_responders import Seat
from directory.timekeeping import Doubt, never_doubted
from tests.builders import NOW, Authority
from tests.directory.clocks import StoppedClock
from tests.responders import a_mark

ISSUED = 4711
REVOKED = 4712


@dataclass
class Books:
    """What was issued: `IssuedReader`. It counts how often it is read."""

    status: dict[int, Good | Revoked] = field(
        default_factory=lambda: {
            ISSUED: Good(),
            REVOKED: Revoked(at=NOW, reason=RevocationReason.SUPERSEDED),
        }
    )
    readings: int = 0
    is_away: bool = False

    async def issued(
        self, _issuer_id: str, serial_numbers: Collection[int]
    ) -> Mapping[int, IssuedCertificate]:
        if self.is_away:
            raise StoreUnavailable(reason="away")
        self.readings += 1
        return {
            serial: IssuedCertificate(
                serial_number=serial, address_key=f"{serial}@example.com", status=self.status[serial]
            )
            for serial in serial_numbers
            if serial in self.status
        }


@dataclass
class FixedSeats:
    """The issuers that are answered for: `Seats`."""

    seats: dict[IssuerMark, Seat] = field(default_factory=dict)

    def seat(self, mark: IssuerMark) -> Seat | None:
        return self.seats.get(mark)


def seats_of(authority: Authority, responder: OcspResponder | None) -> FixedSeats:
    seat = Seat(issuer_id=authority.issuer.key_id, responder=responder)
    return FixedSeats({a_mark(authority, id_hash): seat for id_hash in IdHash})


def a_memory(*, most: int = 100, is_current: bool = True) -> OcspMemory:
    return OcspMemory(most=most, is_current=lambda: is_current)


def an_ocsp_desk(
    *,
    reader: Books | None = None,
    seats: FixedSeats | None = None,
    memory: OcspMemory | None = None,
    rules: OcspRules | None = None,
    clock: Clock | None = None,
    doubt: Doubt = never_doubted,
) -> OcspDesk:
    return OcspDesk(
        reader=reader or Books(),
        seats=seats or FixedSeats(),
        memory=memory if memory is not None else a_memory(),
        rules=rules or OcspRules(),
        clock=clock or StoppedClock(NOW),
        doubt=doubt,
    )
