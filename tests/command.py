"""The command, run within this process: it saves the second that a process of its own takes to begin."""

import contextlib
import io
import json
from dataclasses import dataclass
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
        """What it said to a program; it must have succeeded."""
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
