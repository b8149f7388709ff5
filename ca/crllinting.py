"""Which rules does a CRL break? The judgement of pkilint.

It sees bytes; whether the CRL may be signed with those findings is decided in `ca.revocation`.
"""

import logging
import threading
from enum import Enum, unique

from ca.linting import Finding, Severity

_log = logging.getLogger(__name__)


@unique
class CrlScope(Enum):
    """Whose certificates a CRL is about."""

    RECIPIENTS = "recipients"
    AUTHORITIES = "authorities"


class CrlLinter:
    """Lints CRLs in this process, 2 ms each and 0.2 ms per entry; one may be shared by all threads.

    They are held to RFC 5280 section 5, and to the time that CA/B S/MIME BR 4.9.7 lets a CRL live: ten days,
    or twelve months if it lists CAs alone, as that of a root that is off line.
    """

    def __init__(self, scope: CrlScope = CrlScope.RECIPIENTS) -> None:
        from ca import rulebook  # noqa: PLC0415 - half a second, for those alone who lint

        self._rules = rulebook.for_crls(authorities_only=scope is CrlScope.AUTHORITIES)
        # pkilint promises nothing about threads, and computes under the interpreter lock throughout.
        self._lock = threading.Lock()

    def findings(self, der: bytes) -> tuple[Finding, ...]:
        """List what is wrong with a CRL, from NOTICE up.

        Never raises: a linter that crashes is itself a FATAL finding.
        """
        try:
            with self._lock:
                judgement = list(self._rules.judge(der))
        except Exception as error:  # noqa: BLE001 - what pkilint may raise is not documented
            _log.exception("the linter crashed on a CRL")
            return (Finding(severity=Severity.FATAL, code="pushpki.linter_crashed", message=str(error)),)
        return tuple(
            Finding(severity=Severity(severity), code=code, message=message)
            for severity, code, message in judgement
            if severity <= Severity.NOTICE
        )
