"""What do the service and the process that lints say to each other? A question, and what was found.

Neither is unpickled.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ca.linting import Finding, Severity
from ca.profiles import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A certificate, and what it is for."""

    der: bytes
    purpose: Purpose

    def encoded(self) -> bytes:
        """Return what `decoded` takes."""
        return self.purpose.encode() + b"\n" + self.der

    @classmethod
    def decoded(cls, octets: bytes) -> Self:
        """Read the question.

        Raises:
            ValueError: it is none.
        """
        purpose, _, der = octets.partition(b"\n")
        return cls(der=der, purpose=Purpose(purpose.decode()))


def answered(findings: Sequence[Finding]) -> bytes:
    """Return what `read_answer` takes."""
    return json.dumps([(one.severity.value, one.code, one.message) for one in findings]).encode()


def read_answer(octets: bytes) -> tuple[Finding, ...]:
    """Read what was found.

    Raises:
        ValueError, TypeError: it is no answer.
    """
    return tuple(_finding(*one) for one in json.loads(octets))


def _finding(severity: int, code: str, message: str) -> Finding:
    return Finding(severity=Severity(severity), code=code, message=message)
