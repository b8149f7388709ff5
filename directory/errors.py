"""What can go wrong in the service, as fields rather than prose; no HTTP, LDAP or SMTP code in here.

    DirectoryError
    ├── ConfigurationRefused   a setting or command argument is wrong: key, reason, remedy
    ├── StoreUnavailable       the database does not answer; nothing was changed
    ├── StoreNewer             the database was written by a newer version
    ├── StoreOutdated          the database still needs `pushpki migrate`
    ├── AlreadyExists          a name is taken
    ├── Unknown                there is no such thing (or it is another organization's: same answer)
    ├── SlotTaken              another enrolment holds the address; read it instead
    ├── LimitReached           a rate limit is used up; when to come back
    ├── KeyBlocked             a key is known to be in wrong hands
    ├── IssuerEnded            an issuer was revoked, and signs nothing more
    ├── KeyRepeated            a key was certified before
    ├── RelayRefused           the relay is not in a state that allows this
    ├── ResendRefused          the key mail must not be sent again
    ├── RecoveryRefused        an escrowed key must not be asked for, approved or fetched as things are
    ├── RenewalRefused         the certificate must not be renewed, or not just now
    ├── RedeliveryRefused      a webhook must not be told again
    └── MailRefused            a mail must not be written as things are, however often it is tried
        └── EnvelopeRefused    none can be encrypted to this certificate

One table per edge turns them into answers: `http.problems`, `ldap.results`, `cli.failures`.
"""

from dataclasses import dataclass
from datetime import timedelta


class DirectoryError(Exception):
    """Base of everything this package raises on purpose."""


@dataclass(eq=False)
class ConfigurationRefused(DirectoryError):
    """A setting or a command's argument is wrong."""

    key: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" + (f" — {self.remedy}" if self.remedy else "")


@dataclass(eq=False)
class StoreUnavailable(DirectoryError):
    """The database does not answer, is locked or is full; nothing was changed."""

    reason: str

    def __str__(self) -> str:
        return f"the database is unavailable: {self.reason}"


@dataclass(eq=False)
class StoreNewer(DirectoryError):
    """The database was written by a newer version of pushpki."""

    found: str

    def __str__(self) -> str:
        return (
            f"the database has schema {self.found}, which this version does not know; install a newer pushpki"
        )


@dataclass(eq=False)
class StoreOutdated(DirectoryError):
    """The database was written by an older version, or is empty."""

    found: str
    wanted: str

    def __str__(self) -> str:
        return (
            f"the database has schema {self.found}, this version needs {self.wanted}; run 'pushpki migrate'"
        )


@dataclass(eq=False)
class AlreadyExists(DirectoryError):
    """A name that must be unique is taken."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} already exists"


@dataclass(eq=False)
class Unknown(DirectoryError):
    """There is no such thing, or it belongs to another organization: the answer is the same."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"no {self.kind} {self.name!r}"


class SlotTaken(DirectoryError):
    """Another enrolment already holds the address."""


@dataclass(eq=False)
class LimitReached(DirectoryError):
    """A rate limit is used up."""

    limit: str
    retry_after: timedelta

    def __str__(self) -> str:
        return f"the limit {self.limit} is used up"


@dataclass(eq=False)
class KeyBlocked(DirectoryError):
    """A key is known to be in wrong hands, or may be: nothing is certified or published with it."""

    key_sha256: str
    """Of its SubjectPublicKeyInfo, in hex."""

    def __str__(self) -> str:
        return f"the key {self.key_sha256} is blocked"


@dataclass(eq=False)
class IssuerEnded(DirectoryError):
    """An issuer was revoked: nothing more is signed in its name."""

    issuer_id: str

    def __str__(self) -> str:
        return f"issuer {self.issuer_id} was revoked"


@dataclass(eq=False)
class KeyRepeated(DirectoryError):
    """A key that was to be certified for somebody is somebody's already."""

    key_sha256: str
    """Of its SubjectPublicKeyInfo, in hex."""

    def __str__(self) -> str:
        return f"the key {self.key_sha256} was certified before"


@dataclass(eq=False)
class RelayRefused(DirectoryError):
    """The relay is not in a state that allows what was asked; `code` is stable."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(eq=False)
class ResendRefused(DirectoryError):
    """The key mail must not be sent again; `code` is stable."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(eq=False)
class RecoveryRefused(DirectoryError):
    """The recovery of an escrowed key does not go on like this; `code` is stable."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(eq=False)
class RenewalRefused(DirectoryError):
    """The certificate must not be renewed, or not just now; `code` is stable."""

    code: str
    reason: str
    is_policy: bool
    """Whether an operator may decide otherwise."""

    def __str__(self) -> str:
        remedy = " — renew it --anyway, if you mean it" if self.is_policy else ""
        return f"{self.reason} ({self.code}){remedy}"


@dataclass(eq=False)
class RedeliveryRefused(DirectoryError):
    """A webhook must not be told again; `code` is stable."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(eq=False)
class MailRefused(DirectoryError):
    """A mail must not be written, and trying again will not change that; `code` is stable."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(eq=False)
class EnvelopeRefused(MailRefused):
    """No mail can be encrypted to a certificate; `code` is stable."""
