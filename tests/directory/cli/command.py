"""The command, run within this process: a tenth of the time of a process of its own."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directory.__main__ import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command has said, and how it has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        (line,) = self.out.splitlines()
        document: dict[str, Any] = json.loads(line)
        return document


def pushpki(*arguments: str) -> Done:
    """Run `pushpki ARGUMENTS` to its end."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    return Done(code=code if isinstance(code, int) else 0, out=out.getvalue(), err=err.getvalue())


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """An installation, and the command with its configuration."""

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
