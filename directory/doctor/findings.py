"""What did a check find, and what is to be done about it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    """A stable name, such as `dkim`."""
    verdict: Verdict
    says: str
    """In plain words."""
    publish: str | None = None
    """The line of a zone file that would mend it."""

    def as_document(self) -> Mapping[str, object]:
        """Describe it to a machine."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "says": self.says,
            "publish": self.publish,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found about an organization."""

    organization: str
    domain: str
    findings: Sequence[Finding]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found that keeps mail from arriving."""
        return all(finding.verdict is not Verdict.BAD for finding in self.findings)

    def as_document(self) -> Mapping[str, object]:
        """Describe it to a machine."""
        return {
            "organization": self.organization,
            "domain": self.domain,
            "healthy": self.is_healthy,
            "findings": [finding.as_document() for finding in self.findings],
        }
