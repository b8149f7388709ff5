"""What may be asked of a benchmark? How long each thing is measured, and with how many certificates."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As given on the command line; None where a benchmark decides."""

    seconds: float | None = None
    certificates: int | None = None
    real_keys: bool = False
    """Whether keys that are made beforehand are made as in service, however long that takes."""
