"""A Postfix of the test's own: the sample configuration, with its places and ports moved, nothing else."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.programs import run

SAMPLES = Path(__file__).parents[2] / "deploy" / "postfix"
BOUNCES = "bounces.hospital.org"
_LOG = "mail.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """A running Postfix, and where it is spoken to."""

    folder: Path
    submission: int
    public: int

    @property
    def smtp(self) -> str:
        """What an organization's `--smtp` is."""
        return f"smtp://127.0.0.1:{self.submission}"

    @property
    def log(self) -> str:
        return (self.folder / _LOG).read_text(encoding="utf-8", errors="replace")


def a_free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def write_configuration(folder: Path, *, moved: dict[str, str], submission: int, public: int) -> None:
    """Write the sample configuration as an operator would: names filled in, and what a test must move."""
    main = (SAMPLES / "main.cf").read_text(encoding="utf-8")
    main = main.replace("BOUNCES.EXAMPLE.ORG", BOUNCES).replace("MAIL.EXAMPLE.ORG", "mail.hospital.org")
    lines = "".join(f"{name} = {value}\n" for name, value in moved.items())
    kept = "".join(
        line for line in main.splitlines(keepends=True) if line.partition("=")[0].strip() not in moved
    )
    (folder / "main.cf").write_text(kept + lines, encoding="utf-8")
    master = (SAMPLES / "master.cf").read_text(encoding="utf-8")
    master = master.replace("127.0.0.1:2525 inet", f"127.0.0.1:{submission} inet")
    master = master.replace("smtp      inet", f"127.0.0.1:{public} inet")
    (folder / "master.cf").write_text(master, encoding="utf-8")


@contextmanager
def mta_sts_daemon(find: Callable[[str], str], folder: Path) -> Iterator[int]:
    """Run the daemon that main.cf asks for policies, on a port of loopback."""
    program, port = find("mta-sts-daemon"), a_free_port()
    file = folder / "mta-sts-daemon.yml"
    file.write_text(
        f"host: 127.0.0.1\nport: {port}\ncache: {{type: internal, options: {{cache_size: 10}}}}\n",
        encoding="ascii",
    )
    with subprocess.Popen(  # noqa: S603 - the programs of this suite
        [program, "-c", str(file)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any("Server started" in line for line in process.stderr)
        try:
            yield port
        finally:
            process.terminate()
            process.stderr.read()


@contextmanager
def postfix_relaying(
    find: Callable[[str], str], *, onward: int, bounces: int, policies: int | None = None
) -> Iterator[Postfix]:
    """Run Postfix as a smart host that carries mail on to a port of loopback, and bounces to another."""
    program = find("postfix")
    if run(["id", "-u"]).stdout.strip() != b"0":
        pytest.skip("Postfix STARTS ONLY AS ROOT")
    # Not pytest's folder, which only its owner may enter: Postfix' own user has to.
    folder = Path(tempfile.mkdtemp(prefix="postfix-"))
    submission, public = a_free_port(), a_free_port()
    try:
        for name in ("config", "queue", "data"):
            (folder / name).mkdir(mode=0o755)
        folder.chmod(0o755)
        shutil.chown(folder / "data", "postfix")
        moved = {
            "queue_directory": str(folder / "queue"),
            "data_directory": str(folder / "data"),
            "maillog_file": str(folder / _LOG),
            "maillog_file_prefixes": str(folder),
            # There is no DNS here: everything goes to one address.
            "relayhost": f"[127.0.0.1]:{onward}",
            "smtp_dns_support_level": "enabled",
            "smtp_tls_security_level": "may",
            "smtp_tls_policy_maps": f"socketmap:inet:127.0.0.1:{policies}:postfix" if policies else "",
            "transport_maps": f"inline:{{ {BOUNCES}=lmtp:inet:127.0.0.1:{bounces} }}",
        }
        write_configuration(folder / "config", moved=moved, submission=submission, public=public)
        started = run([program, "-c", str(folder / "config"), "start"])
        assert started.returncode == 0, started.stderr
        try:
            yield Postfix(folder=folder, submission=submission, public=public)
        finally:
            run([program, "-c", str(folder / "config"), "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postconf(find: Callable[[str], str], folder: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Have Postfix read a configuration."""
    return run([find("postconf"), "-c", str(folder), *options])
