"""Which attributes of an entry does a search return?

An attribute is included once, however often and in however many spellings it was asked for. Knows no entry.
"""

from dataclasses import dataclass
from typing import Final

from directory.ldap.attributes import USER_CERTIFICATE, AttributeType, Usage, attribute_type

_ALL_USER: Final = "*"
_ALL_OPERATIONAL: Final = "+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a search wants to see of each entry (RFC 4511 section 4.5.1.8, RFC 3673, RFC 4522)."""

    all_user: bool
    all_operational: bool
    named: frozenset[AttributeType]
    types_only: bool

    @classmethod
    def of(cls, requested: tuple[str, ...], *, types_only: bool) -> "Selection":
        """Read a search's list of attributes; what is unknown in it is ignored.

        An empty list means all user attributes. `1.1` means none; as no attribute has that description, it
        needs no care, not even beside others.
        """
        named = frozenset(known for text in requested if (known := attribute_type(text)) is not None)
        return cls(
            all_user=not requested or _ALL_USER in requested,
            all_operational=_ALL_OPERATIONAL in requested,
            named=named,
            types_only=types_only,
        )

    def includes(self, attribute: AttributeType) -> bool:
        """Tell whether the attribute is returned where an entry has it."""
        if attribute in self.named:
            return True
        return self.all_user if attribute.usage is Usage.USER else self.all_operational

    @property
    def wants_certificate(self) -> bool:
        """Whether the answer would carry a recipient's certificate, which alone justifies making one."""
        return not self.types_only and self.includes(USER_CERTIFICATE)
