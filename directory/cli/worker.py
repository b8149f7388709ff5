"""What does a worker of `pushpki serve --workers` run? No command for people: the supervisor starts it."""

import sys

from ca.errors import CaError
from directory.cli.failures import report
from directory.errors import DirectoryError
from directory.sockets import Sharing
from directory.wiring import process
from directory.wiring.workers import READY, read_orders

COMMAND = (sys.executable, "-P", "-m", "directory.cli.worker")
"""Starts a worker; -P: modules are not looked for in the folder that the operator happens to be in."""


def main() -> None:
    """Serve as ordered on standard input, until signalled or left alone."""
    orders = read_orders(sys.stdin.buffer)
    process.configure_logging(orders.settings, worker=orders.number)
    try:
        process.run_until_stopped(
            process.serve_until_signalled(
                orders.settings,
                orders.passphrase,
                lambda _: _say_ready(),
                sharing=Sharing.WORKERS,
                parent=sys.stdin.fileno(),
            )
        )
    except (DirectoryError, CaError) as error:
        report(error)


def _say_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
