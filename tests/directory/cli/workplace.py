"""An installation, and the command with its configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command import Done, pushpki


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """An installation to run commands on."""

    config: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    def pushpki(self, *arguments: str) -> Done:
        return pushpki(*arguments, "--config", str(self.config))

    def document(self, *arguments: str) -> dict[str, Any]:
        """Run a command that must succeed, and return its document."""
        return self.pushpki(*arguments, "--json").document

    def lines(self, *arguments: str) -> list[str]:
        """Run a command that must succeed, and return what people read."""
        done = self.pushpki(*arguments)
        assert done.code == 0, done.err
        return done.out.splitlines()

    def refusal(self, *arguments: str, code: int) -> str:
        """Run a command that must fail with this exit code and one line; return the line."""
        return the_line_of(self.pushpki(*arguments), code)


def the_line_of(done: Done, code: int) -> str:
    """Return the one line that a failed command says: what is wrong, without a traceback or a result."""
    assert done.code == code, done.err
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("pushpki: ")
    return line
