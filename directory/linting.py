"""Who lints while gateways wait? A process beside the service, with an interpreter lock of its own.

Linting is a third of a mint, all of it under the interpreter's lock: inside the service it keeps every other
mint waiting, though a core may be idle. Whatever becomes of the process (`directory.lint_process`), each
certificate is linted: here, as long as it is not ready, and whenever it does not answer.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from multiprocessing.connection import Connection, Pipe
from typing import Final

from ca.linting import Finding, Linter
from ca.profiles import Purpose
from directory.lint_messages import Question, read_answer

logger = logging.getLogger(__name__)

READY_WITHIN_SECONDS: Final = 10.0
"""Half a second is usual; a machine that is starting takes longer."""
_ANSWERS_WITHIN_SECONDS: Final = 2.0
"""4 ms is usual; a gateway that waited longer than this was told to come back."""
_PAUSE_SECONDS: Final = 10.0
"""Between two starts."""
_ENDS_WITHIN_SECONDS: Final = 1.0
_COMMAND: Final = (sys.executable, "-P", "-m", "directory.lint_process")


class LintingProcess:
    """Lints in a process of its own, or else here; one may be shared by all threads.

    A process that ends, or does not answer in time, is replaced when somebody asks after a while.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = _COMMAND,
        answers_within: float = _ANSWERS_WITHIN_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = tuple(command)
        self._answers_within = answers_within
        self._now = now
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._stopped = False
        self._not_before = now()

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        process = self._process
        return None if process is None else process.pid

    def start(self, *, within: float = READY_WITHIN_SECONDS) -> bool:
        """Start the process; tell whether it is ready, as soon as it is. If it is not, it may be later."""
        with self._lock:
            process = self._standing()
            return process is not None and self._is_ready(process, within=within)

    def findings(self, der: bytes, purpose: Purpose) -> tuple[Finding, ...]:
        """List what is wrong with a certificate for that purpose; see `ca.linting.Linter`. Never raises."""
        with self._lock:
            found = self._found_there(Question(der=der, purpose=purpose))
        return self._here.findings(der, purpose) if found is None else found

    def stop(self) -> None:
        """End the process, and start none any more."""
        with self._lock:
            self._stopped = True
            self._end()

    def _found_there(self, question: Question) -> tuple[Finding, ...] | None:
        process = self._standing()
        if process is None or not self._is_ready(process, within=0):
            return None
        try:
            return process.answer(question, within=self._answers_within)
        except (OSError, EOFError, ValueError, TypeError) as error:
            logger.warning("the process that lints is replaced: %s", type(error).__name__)
            self._end()
            return None

    def _standing(self) -> "_Process | None":
        if self._process is None and not self._stopped and self._now() >= self._not_before:
            self._not_before = self._now() + _PAUSE_SECONDS
            try:
                self._process = _Process(self._command)
            except OSError as error:
                logger.warning("no process that lints can be started: %s", error.strerror)
        return self._process

    def _is_ready(self, process: "_Process", *, within: float) -> bool:
        try:
            return process.is_ready(within=within)
        except (OSError, EOFError) as error:
            # It has said why on standard error, which is ours.
            logger.warning("the process that lints did not become ready: %s", type(error).__name__)
            self._end()
            return False

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    @cached_property
    def _here(self) -> Linter:
        return Linter()


class _Process:
    """One process, from its start to its end; asked by one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = Pipe()
        self._connection: Connection = ours
        with theirs:
            # In a process group of its own: Control-C at the terminal is this process' to hear.
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        self._ready = False

    @property
    def pid(self) -> int:
        return self._child.pid

    def is_ready(self, *, within: float) -> bool:
        """Tell whether it has said that it is ready.

        Raises:
            EOFError, OSError: it has ended.
        """
        if not self._ready and self._connection.poll(within):
            self._connection.recv_bytes()
            self._ready = True
        return self._ready

    def answer(self, question: Question, *, within: float) -> tuple[Finding, ...]:
        """Ask it.

        Raises:
            EOFError, OSError: it has ended, or takes too long.
            ValueError, TypeError: it talks nonsense.
        """
        self._connection.send_bytes(question.encoded())
        if not self._connection.poll(within):
            raise TimeoutError
        return read_answer(self._connection.recv_bytes())

    def end(self) -> None:
        self._connection.close()
        with suppress(ProcessLookupError):
            self._child.kill()
        # One that cannot even be killed, as while its disk does not answer, must not hold up mints. Python
        # takes it off the list of processes when it starts another.
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_ENDS_WITHIN_SECONDS)
