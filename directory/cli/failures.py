"""THE table from errors to exit codes of the command, and the one place that catches them."""

from ca.errors import CaError
from directory.cli.output import fail
from directory.errors import (
    AlreadyExists,
    ConfigurationRefused,
    DirectoryError,
    StoreNewer,
    StoreOutdated,
    StoreUnavailable,
    Unknown,
)

EXIT_CODES: dict[type[Exception], int] = {
    # The first entry that an error is an instance of decides; codes of sysexits.h where one fits.
    ConfigurationRefused: 78,
    StoreNewer: 78,
    StoreOutdated: 78,
    StoreUnavailable: 75,
    Unknown: 66,
    AlreadyExists: 73,
    DirectoryError: 70,
    CaError: 70,
}


def exit_code(error: Exception) -> int:
    """Return the exit code for an error of ours."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def report(error: DirectoryError | CaError) -> None:
    """Say in one line what is wrong, and end."""
    fail(f"error: {error}", exit_code(error))
