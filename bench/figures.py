"""How are measurements written down? Tables for people, documents for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

Cell: TypeAlias = str | int | float


class Bound(Enum):
    """Which side of a target is the good one."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was hoped for, beside what was measured."""

    name: str
    measured: float
    bound: Bound
    wanted: float

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        if self.bound is Bound.AT_MOST:
            return self.measured <= self.wanted
        return self.measured >= self.wanted

    def __str__(self) -> str:
        verdict = "met" if self.is_met else "missed"
        return f"{self.name}: {_written(self.measured)}, wanted {self.bound.value} {self.wanted:g}: {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a benchmark measured: rows of the same columns."""

    title: str
    rows: Sequence[Mapping[str, Cell]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    """What has no place in a table, such as histograms; for programs."""

    def as_document(self) -> dict[str, object]:
        """Return it for programs, unrounded."""
        return {
            "title": self.title,
            "rows": [dict(row) for row in self.rows],
            "targets": [
                {
                    "name": target.name,
                    "measured": target.measured,
                    "bound": target.bound.value,
                    "wanted": target.wanted,
                    "met": target.is_met,
                }
                for target in self.targets
            ],
            "notes": list(self.notes),
            "details": dict(self.details),
        }

    def as_text(self) -> str:
        """Return it as a Markdown table, ready for the README."""
        lines = [f"### {self.title}", "", *table(self.rows)]
        if self.targets:
            lines += ["", *(f"* {target}" for target in self.targets)]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)


def table(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Return the lines of a Markdown table whose columns are those of the first row."""
    heads = list(rows[0])
    cells = [heads, *([_written(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    numeric = [not isinstance(rows[0][head], str) for head in heads]

    def written(line: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, numeric, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        "-" * (w + 1) + ":" if right else "-" * (w + 2) for w, right in zip(widths, numeric, strict=True)
    )
    return [written(heads), f"|{rule}|", *(written(line) for line in cells[1:])]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(rank, 1) - 1]


def _written(cell: Cell) -> str:
    match cell:
        case str():
            return cell
        case int():
            return f"{cell:,}"
        case _:
            digits = 3 if abs(cell) < 1 else 2 if abs(cell) < 10 else 1
            return f"{cell:,.{digits}f}"
