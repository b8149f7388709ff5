"""Which attributes of an entry does a search return, and by which names?

An attribute is included once, however often and in however many spellings it was asked for. Knows no entry.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from directory.ldap.attributes import (
    ALL_ATTRIBUTE_TYPES,
    USER_CERTIFICATE,
    USER_SMIME_CERTIFICATE,
    AttributeType,
    Usage,
    attribute_type,
)
from directory.ldap.ber import octet_string
from directory.ldap.settings import AttributeNames, Presentation, SmimeForm

_ALL_USER: Final = "*"
_ALL_OPERATIONAL: Final = "+"

_WRITTEN_NAMES: Final = {
    AttributeNames.BINARY: {item: octet_string(item.description) for item in ALL_ATTRIBUTE_TYPES},
    AttributeNames.PLAIN: {item: octet_string(item.names[0]) for item in ALL_ATTRIBUTE_TYPES},
}
_SMIME_PLAIN: Final = octet_string(USER_SMIME_CERTIFICATE.names[0])
_SMIME_BINARY: Final = octet_string(f"{USER_SMIME_CERTIFICATE.names[0]};binary")
_STANDARD: Final = Presentation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a search wants to see of each entry (RFC 4511 section 4.5.1.8, RFC 3673, RFC 4522)."""

    all_user: bool
    all_operational: bool
    named: Mapping[AttributeType, bytes]
    """What was asked for by name, and the name it is returned under, in BER."""
    types_only: bool
    names: Mapping[AttributeType, bytes] = field(repr=False)
    """The names of all others."""

    @classmethod
    def of(
        cls, requested: tuple[str, ...], *, types_only: bool, presentation: Presentation = _STANDARD
    ) -> "Selection":
        """Read a search's list of attributes; what is unknown in it is ignored.

        An empty list means all user attributes. `1.1` means none; as no attribute has that description, it
        needs no care, not even beside others.
        """
        names = _WRITTEN_NAMES[presentation.names]
        named: dict[AttributeType, bytes] = {}
        for text in requested:
            known = attribute_type(text)
            if known is USER_SMIME_CERTIFICATE:
                if presentation.smime is not SmimeForm.OFF:
                    named.setdefault(known, _as_asked(text))
            elif known is not None:
                named[known] = names[known]
        return cls(
            all_user=not requested or _ALL_USER in requested,
            all_operational=_ALL_OPERATIONAL in requested,
            named=named,
            types_only=types_only,
            names=names,
        )

    def includes(self, attribute: AttributeType) -> bool:
        """Tell whether the attribute is returned where an entry has it.

        userSMIMECertificate is for those who ask for it by name: no client expects it beside the certificate,
        and some stumble over the form it has here.
        """
        if attribute in self.named:
            return True
        if attribute is USER_SMIME_CERTIFICATE:
            return False
        return self.all_user if attribute.usage is Usage.USER else self.all_operational

    def shown(self, attributes: Collection[AttributeType]) -> list[tuple[AttributeType, bytes]]:
        """Return which of an entry's attributes are returned, each with its name in BER."""
        if not self.all_user and not self.all_operational:
            return [(attribute, name) for attribute, name in self.named.items() if attribute in attributes]
        return [
            (attribute, self.named.get(attribute) or self.names[attribute])
            for attribute in attributes
            if self.includes(attribute)
        ]

    @property
    def shows_certificates(self) -> bool:
        """Whether entries are returned with a recipient's certificates, or with the names of those."""
        return self.includes(USER_CERTIFICATE) or USER_SMIME_CERTIFICATE in self.named

    @property
    def wants_certificate(self) -> bool:
        """Whether the answer would carry a recipient's certificate, which alone justifies making one."""
        return not self.types_only and self.shows_certificates


def _as_asked(description: str) -> bytes:
    """Return the name in the form asked for, which its syntax leaves to the client (RFC 4522 section 5)."""
    return _SMIME_BINARY if description.lower().endswith(";binary") else _SMIME_PLAIN
