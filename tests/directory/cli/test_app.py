"""The commands as a whole: each says what it does, speaks JSON to programs, and fails in one line."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from directory import __version__
from directory.cli.app import app
from tests.command import pushpki

WITHOUT_CONFIGURATION = {
    ("init",),
    ("demo",),
    ("mail", "templates", "export"),
    ("recovery", "certificate", "create"),
    ("recovery", "open"),
    ("ca", "root", "sign-crl"),
    ("ca", "issuing", "sign"),
}
"""Commands that make their installation, or need none."""


def leaves(group: TyperGroup, *above: str) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from leaves(command, *above, name)
        elif isinstance(command, TyperCommand):
            yield (*above, name), command


LEAVES = dict(leaves(typer.main.get_group(app)))


def test_the_commands_are_those_that_others_rely_on() -> None:
    assert {" ".join(path) for path in LEAVES} >= {
        *("init", "serve", "lookup", "revoke", "verify", "migrate", "demo"),
        *("org add", "org list", "gateway add", "gateway list", "gateway disable"),
        *("agent add", "agent list", "agent disable", "master-key show", "master-key rotate"),
    }


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_speaks_json_and_takes_a_configuration(path: tuple[str, ...]) -> None:
    options = {option for parameter in LEAVES[path].params for option in parameter.opts}

    assert "--json" in options
    assert ("--config" in options) is (path not in WITHOUT_CONFIGURATION)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_and_option_is_described(path: tuple[str, ...]) -> None:
    assert LEAVES[path].help
    assert [parameter.name for parameter in LEAVES[path].params if not getattr(parameter, "help", None)] == []


def test_says_its_version() -> None:
    done = pushpki("--version")

    assert (done.code, done.out) == (0, f"pushpki {__version__}\n")


def test_libraries_that_few_commands_need_are_left_alone_by_the_others() -> None:
    heavy = ("checkdmarc", "dkim", "dns", "httpcore", "fastapi", "pkilint")
    code = f"import sys, directory.cli.app; print([name for name in {heavy} if name in sys.modules])"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code

    assert ended.stdout == "[]\n"


def test_without_a_command_says_which_there_are() -> None:
    done = pushpki()

    assert done.code == 2
    assert "master-key" in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nonsense",), "nonsense"),
        (("gateway", "nonsense"), "nonsense"),
        (("verify", "--nonsense"), "--nonsense"),
        (("org", "add", "firm"), "--name"),
        (("gateway", "add", "gw"), "--org"),
        (("revoke", "a@example.org", "--reason", "whim"), "whim"),
        (("org", "add", "firm", "--package-format", "zip"), "zip"),
    ],
)
def test_what_is_not_understood_is_named(arguments: tuple[str, ...], named: str) -> None:
    done = pushpki(*arguments)

    assert (done.code, done.out) == (2, "")
    assert named in done.err
    assert "Traceback" not in done.err
