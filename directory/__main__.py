"""The command `pushpki`."""

from ca.errors import CaError
from directory.cli.app import app
from directory.cli.failures import report
from directory.errors import DirectoryError


def main() -> None:
    """Run the command; errors of ours are one line and an exit code, never a traceback."""
    try:
        app()
    except (DirectoryError, CaError) as error:
        report(error)


if __name__ == "__main__":
    main()
