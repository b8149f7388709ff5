"""`pushpki demo --once`: exit code 0 if every step held, else 1 and one line; nothing is left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

ENDS_WITHIN_SECONDS = 120
BLOCKS_OF_512_OCTETS = 8
"""The largest file that the failing demonstration may write: no database fits into that."""


def demonstrate(
    folder: Path, *arguments: str, before: str = "true", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the demonstration with its temporary files in the folder."""
    script = f'{before}; exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "directory", "demo", "--once", *arguments]
    return subprocess.run(  # noqa: S603 - our own command
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_WITHIN_SECONDS,
        env={**os.environ, "TMPDIR": str(folder), **variables},
    )


def test_the_whole_story_holds_whatever_is_set_for_another_installation(tmp_path: Path) -> None:
    done = demonstrate(
        tmp_path,
        "--json",
        PUSHPKI_DATABASE__URL="postgresql://production/x",
        PUSHPKI_CONFIG="/etc/pushpki.toml",
    )

    assert (done.returncode, done.stderr) == (0, "")
    titles = [step["step"] for step in json.loads(done.stdout)["steps"]]
    assert len(titles) == 7
    assert "decrypts the mail" in " ".join(titles)
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_is_an_exit_code_and_one_line(tmp_path: Path) -> None:
    done = demonstrate(tmp_path, before=f"ulimit -f {BLOCKS_OF_512_OCTETS}")

    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("pushpki: the demonstration failed: pushpki init: ")
    assert list(tmp_path.iterdir()) == []
