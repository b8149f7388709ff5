"""How much processor time and memory does another process use? Read from `/proc`, so only on Linux.

The service's key pool threads are told apart by their lower priority, which only they have.
"""

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.premises import require

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_OCTETS_PER_PAGE = os.sysconf("SC_PAGE_SIZE")
# Positions in /proc/PID/stat (proc(5)), counted from the state, which follows the name in parentheses.
_UTIME, _STIME, _NICE = 11, 12, 16

_IDLE_SHARE = 0.1
"""Of one core: what the looks for something to do may take, which are dear on a core that has gone cold."""
_IDLE_FOR_SECONDS = 2.0
_STARTS_WITHIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTime:
    """Seconds of processor time a process has used since it began."""

    total: float
    in_the_background: float
    """Of its threads with a lower priority than the process: the key pool's."""

    @property
    def in_the_foreground(self) -> float:
        """Everything but making keys."""
        return self.total - self.in_the_background

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(
            total=self.total - earlier.total,
            in_the_background=self.in_the_background - earlier.in_the_background,
        )


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_time(pid: int) -> CpuTime:
    """Return what a process and its children have used; both must be there still, with their threads."""
    used = [_cpu_time_alone(process) for process in family(pid)]
    return CpuTime(
        total=sum(one.total for one in used), in_the_background=sum(one.in_the_background for one in used)
    )


def memory(pid: int) -> int:
    """Return the octets of main memory that a process and its children occupy, each by itself."""
    return sum(_resident_pages(process) for process in family(pid)) * _OCTETS_PER_PAGE


def family(pid: int) -> list[int]:
    """Return the process and all that descend from it."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]
    return [pid, *(descendant for child in children for descendant in family(int(child)))]


def wait_until_idle(pid: int, *, within: float) -> None:
    """Return when a process has used next to nothing for a while, as when its key pool is full.

    Raises:
        TimeoutError: it was still busy at the end.
    """
    give_up_at = time.monotonic() + within
    used = cpu_time(pid).total
    while time.monotonic() < give_up_at:
        time.sleep(_IDLE_FOR_SECONDS)
        before, used = used, cpu_time(pid).total
        if used - before <= _IDLE_SHARE * _IDLE_FOR_SECONDS:
            return
    raise TimeoutError(f"process {pid} was still busy after {within:.0f} s")


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when the process listens on this port of loopback.

    Raises:
        PremiseBroken: it has ended instead.
        TimeoutError: it does not within half a minute.
    """
    give_up_at = time.monotonic() + _STARTS_WITHIN_SECONDS
    while time.monotonic() < give_up_at:
        require(process.poll() is None, "what is compared with goes on running")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody listened after {_STARTS_WITHIN_SECONDS:.0f} s")


def _cpu_time_alone(pid: int) -> CpuTime:
    process = Path(f"/proc/{pid}")
    threads = [_stat(thread) for thread in (process / "task").iterdir()]
    total, nice = _stat(process)
    return CpuTime(total=total, in_the_background=sum(used for used, niceness in threads if niceness > nice))


def _resident_pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])


def _stat(entry: Path) -> tuple[float, int]:
    fields = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    used = int(fields[_UTIME]) + int(fields[_STIME])
    return used / _TICKS_PER_SECOND, int(fields[_NICE])
