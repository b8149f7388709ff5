"""A running service whose linting process is killed: nobody is refused, and nothing unlinted is signed."""

import os
import signal
from pathlib import Path

import pytest

from tests.gateways import look_up
from tests.postbox import postbox
from tests.service import UNHURRIED, Running, install, serving, succeed


def linting_process(running: Running) -> int:
    """Return the child of the service that lints."""
    tasks = Path(f"/proc/{running.process.pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    [lints] = [
        one for one in children if b"directory.lint_process" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    return int(lints)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="with one core the service lints by itself")
def test_a_mint_does_not_depend_on_the_process_that_lints(tmp_path: Path) -> None:
    with (
        postbox() as mail,
        serving(install(tmp_path / "pushpki", smtp=mail.smtp), variables=UNHURRIED) as running,
    ):
        assert len(look_up(running, "first@example.com")) == 1
        os.kill(linting_process(running), signal.SIGKILL)

        assert len(look_up(running, "second@example.com")) == 1

        config = str(running.installed.config)
    assert succeed("verify", "--config", config) == {"violations": []}
    assert "the process that lints is replaced" in (running.installed.folder / "serve.log").read_text("utf-8")
