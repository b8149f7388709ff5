"""How does a command speak? To people in lines, to programs in JSON; of errors in one line."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, NoReturn

import typer
from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]

progress = Console(stderr=True)
"""Where progress is shown: never where a program reads the result."""


def show(result: Mapping[str, object], *, as_json: bool, lines: Sequence[str]) -> None:
    """Print a result: the document for programs, the lines for people."""
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def fail(message: str, exit_code: int) -> NoReturn:
    """Say in one line what is wrong, and end with this exit code."""
    line = " ".join(message.split())
    sys.stderr.write(f"pushpki: {line}\n")
    raise SystemExit(exit_code)
