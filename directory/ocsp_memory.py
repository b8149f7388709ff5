"""Which signed answers may be given again? Those that are fresh, and that nothing announced has made untrue.

An answer that a change may have made untrue is not thrown away: if the database then says the same of the
certificate as before, it need not be signed anew. `directory/changes.py` proves how old an answer can be.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ca.ocsp import Period, Status
from ca.ocsprequests import CertificateId
from directory.timekeeping import TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspAnswer:
    """A response, and for how long others may keep it."""

    der: bytes
    period: Period | None = None
    """None where nobody may keep it: it says nothing of a certificate, or has somebody's nonce."""
    tag: str = ""
    """Its SHA-256 in hex; empty where nobody may keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A signed answer about one certificate that was issued."""

    answer: OcspAnswer
    status: Status
    address_key: str
    """Whose certificate it is; empty if nobody's."""
    renew_at: datetime
    """From when it is signed anew, so that whoever is given it may rely on it for a while."""

    def is_fresh(self, now: datetime) -> bool:
        """Whether it may be given: not yet to be renewed, nor the work of a clock that was ahead."""
        period = self.answer.period
        return now < self.renew_at and (period is None or period.this_update - now <= TOLERANCE)


class OcspMemory:
    """Answers by what was asked, at most so many; those longest unasked go first."""

    def __init__(self, *, most: int, is_current: Callable[[], bool]) -> None:
        self._most = most
        self._is_current = is_current
        self._answers: OrderedDict[CertificateId, Remembered] = OrderedDict()
        self._of_address: defaultdict[str, set[CertificateId]] = defaultdict(set)
        self._vouched: set[CertificateId] = set()
        self._forgettings = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def forgettings(self) -> int:
        """How often something was forgotten; to be read before the database is."""
        return self._forgettings

    def recall(self, asked: CertificateId, now: datetime) -> OcspAnswer | None:
        """Return an answer that may be given now."""
        if asked not in self._vouched or not self._is_current():
            return None
        remembered = self._answers[asked]
        if not remembered.is_fresh(now):
            return None
        self._answers.move_to_end(asked)
        return remembered.answer

    def signed(self, asked: CertificateId, status: Status, now: datetime) -> Remembered | None:
        """Return what was signed already and says just this."""
        remembered = self._answers.get(asked)
        if remembered is None or remembered.status != status or not remembered.is_fresh(now):
            return None
        return remembered

    def still_holds(self, asked: CertificateId, status: Status, now: datetime) -> OcspAnswer | None:
        """Return what was signed already, says just this, and holds though it is due to be signed anew."""
        remembered = self._answers.get(asked)
        if remembered is None or remembered.status != status:
            return None
        period = remembered.answer.period
        if period is None or now >= period.next_update or period.this_update - now > TOLERANCE:
            return None
        return remembered.answer

    def remember(self, asked: CertificateId, remembered: Remembered, *, forgettings: int) -> None:
        """Keep an answer, unless something was forgotten since `forgettings` was read."""
        if forgettings != self._forgettings or self._most == 0:
            return
        self._drop(asked)
        self._answers[asked] = remembered
        self._of_address[remembered.address_key].add(asked)
        self._vouched.add(asked)
        while len(self._answers) > self._most:
            self._drop(next(iter(self._answers)))

    def forget(self, address_keys: frozenset[str]) -> None:
        """Vouch no more for answers about certificates of these addresses."""
        self._forgettings += 1
        for address_key in address_keys:
            self._vouched -= self._of_address.get(address_key, set())

    def forget_everything(self) -> None:
        """Vouch for nothing."""
        self._forgettings += 1
        self._vouched.clear()

    def _drop(self, asked: CertificateId) -> None:
        remembered = self._answers.pop(asked, None)
        if remembered is None:
            return
        self._vouched.discard(asked)
        others = self._of_address[remembered.address_key]
        others.discard(asked)
        if not others:
            del self._of_address[remembered.address_key]
