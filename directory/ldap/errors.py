"""What can go wrong between a client and the directory? A class for each thing that has its own consequence.

    LdapError (a DirectoryError)
    ├── MalformedPdu     the octets are no message of the protocol: notice of disconnection, then close
    ├── RequestRefused   a message asks for what is not done: its request is answered, the session goes on
    ├── NameRefused      the text is not a distinguished name: the operation decides which result that is
    └── Overloaded       too many lookups are under way; nobody's fault

The reasons are fixed texts of this program: they go to clients and logs, so they never quote what was sent.
"""

from dataclasses import dataclass

from directory.errors import DirectoryError
from directory.ldap.codes import ResultCode


class LdapError(DirectoryError):
    """Base of what the protocol layer raises about a client's input."""


@dataclass(eq=False)
class MalformedPdu(LdapError):
    """The octets are not a message this server reads; nothing after them can be trusted."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class RequestRefused(LdapError):
    """A well-formed message asks for what this server does not do, or does not do at that size."""

    code: ResultCode
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code.name})"


@dataclass(eq=False)
class NameRefused(LdapError):
    """The text is not a distinguished name (RFC 4514 section 3)."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Overloaded(LdapError):
    """More lookups are under way than the front end takes on at once."""

    def __str__(self) -> str:
        return "too many lookups are under way"
