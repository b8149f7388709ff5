"""The command `pushpki`."""

from collections.abc import Sequence

from ca.errors import CaError
from directory.cli.app import app
from directory.cli.failures import report
from directory.errors import DirectoryError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; errors of ours are one line and an exit code, never a traceback."""
    try:
        app(arguments, prog_name="pushpki")
    except (DirectoryError, CaError) as error:
        report(error)


if __name__ == "__main__":
    main()
