"""THE tables from errors to exit codes and remedies of the command, and the one place that catches them."""

from ca.errors import (
    CaError,
    CrlRequestRefused,
    IssuerRefused,
    KeyFileUnusable,
    MasterKeyUnusable,
    PinRefused,
    SealBroken,
    SignerUnavailable,
)
from directory.cli.output import fail
from directory.errors import (
    AlreadyExists,
    ConfigurationRefused,
    DirectoryError,
    IssuerEnded,
    KeyBlocked,
    KeyRepeated,
    LimitReached,
    MailRefused,
    RecoveryRefused,
    RedeliveryRefused,
    RelayRefused,
    RenewalRefused,
    ResendRefused,
    StoreNewer,
    StoreOutdated,
    StoreUnavailable,
    Unknown,
)

EXIT_CODES: dict[type[Exception], int] = {
    # The first entry that an error is an instance of decides; codes of sysexits.h where one fits.
    ConfigurationRefused: 78,
    MasterKeyUnusable: 78,
    SealBroken: 78,
    PinRefused: 78,
    SignerUnavailable: 75,
    StoreNewer: 78,
    StoreOutdated: 78,
    StoreUnavailable: 75,
    LimitReached: 75,
    Unknown: 66,
    AlreadyExists: 73,
    KeyBlocked: 65,
    IssuerEnded: 65,
    KeyRepeated: 65,
    RelayRefused: 65,
    ResendRefused: 65,
    RecoveryRefused: 65,
    RenewalRefused: 65,
    RedeliveryRefused: 65,
    MailRefused: 65,
    IssuerRefused: 65,
    KeyFileUnusable: 65,
    CrlRequestRefused: 65,
    DirectoryError: 70,
    CaError: 70,
}

REMEDIES: dict[type[Exception], str] = {
    # For errors that know what is wrong, but not which setting leads there.
    MasterKeyUnusable: (
        "see master_key.file, which only its owner may read (chmod 600), and master_key.passphrase_file"
    ),
    SealBroken: "restore the master key that belongs to this database, see master_key.file",
    StoreUnavailable: "see database.url",
    PinRefused: "put the right one into the file of pkcs11.pin_file, before the token locks itself",
    SignerUnavailable: "see pkcs11.module and pkcs11.label; 'pushpki ca token test' tries again",
}


def exit_code(error: Exception) -> int:
    """Return the exit code for an error of ours."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))


def explanation(error: Exception) -> str:
    """Say what is wrong, and what to do about it where the error itself does not."""
    remedy = next((remedy for kind, remedy in REMEDIES.items() if isinstance(error, kind)), None)
    what = str(error) or type(error).__name__
    return f"{what} — {remedy}" if remedy else what


def report(error: DirectoryError | CaError) -> None:
    """Say in one line what is wrong, and end."""
    fail(f"error: {explanation(error)}", exit_code(error))
