"""What does an RFC 4387 query ask for? From the octets after the `?` to one question, or a refusal.

The first attribute known here decides; whatever else the query holds is ignored (RFC 4387 section 2).
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl

from ca.address import Mailbox
from directory.http.problem_kinds import HttpProblem
from directory.http.problems import refuse

_ADDRESS_ATTRIBUTES = frozenset({"email", "uri"})
"""RFC 4387 section 2.5.1: for S/MIME, `uri` is the bare address and `email` another name for it."""

_LONGEST_QUERY = 2048
_MOST_PAIRS = 32
_HASH = re.compile(r"[A-Za-z0-9+/]{27}")


class IssuerAttribute(StrEnum):
    """How a certificate of the authority itself is asked for, RFC 4387 section 2.2."""

    CERTIFICATE_HASH = "certHash"
    ISSUER_HASH = "iHash"
    ISSUER_AND_SERIAL_HASH = "iAndSHash"
    NAME = "name"
    SUBJECT_HASH = "sHash"
    SUBJECT_KEY_IDENTIFIER_HASH = "sKIDHash"


_ISSUER_ATTRIBUTES = {attribute.value: attribute for attribute in IssuerAttribute}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressQuery:
    """Asks for the certificate of one address."""

    mailbox: Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerQuery:
    """Asks for those of the authority's own certificates that have this value."""

    attribute: IssuerAttribute
    value: bytes
    """A SHA-1 hash; for `name`, the common name in UTF-8."""


CertificateQuery = AddressQuery | IssuerQuery

CRL_ATTRIBUTES = {
    # The issuer's name and key identifier in a CRL are the subject's in the issuer's certificate.
    "iHash": IssuerAttribute.SUBJECT_HASH,
    "sKIDHash": IssuerAttribute.SUBJECT_KEY_IDENTIFIER_HASH,
}
"""How a CRL is asked for (RFC 4387 section 2.2), and what that is in the certificate of its issuer."""


def parse_certificate_query(query: bytes) -> CertificateQuery:
    """Read a query string as it came over the wire.

    Raises:
        ProblemRaised: it is too long, not form-urlencoded UTF-8, asks for nothing, or holds a malformed hash.
        AddressRefused: what stands for an address is not one.
    """
    for name, value in _pairs(query):
        if name in _ADDRESS_ATTRIBUTES:
            return AddressQuery(mailbox=Mailbox.parse_international(value))
        attribute = _ISSUER_ATTRIBUTES.get(name)
        if attribute is not None:
            octets = value.encode() if attribute is IssuerAttribute.NAME else _hash(value)
            return IssuerQuery(attribute=attribute, value=octets)
    raise refuse(HttpProblem.ATTRIBUTE_MISSING)


def parse_crl_query(query: bytes) -> IssuerQuery:
    """Read the query string of a CRL's store: which issuers are meant.

    Raises:
        ProblemRaised: it is too long, not form-urlencoded UTF-8, asks for nothing, or holds a malformed hash.
    """
    for name, value in _pairs(query):
        if (attribute := CRL_ATTRIBUTES.get(name)) is not None:
            return IssuerQuery(attribute=attribute, value=_hash(value))
    raise refuse(HttpProblem.ATTRIBUTE_MISSING)


def _pairs(query: bytes) -> Iterable[tuple[str, str]]:
    if len(query) > _LONGEST_QUERY:
        raise refuse(HttpProblem.QUERY_MALFORMED)
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PAIRS
        )
    except ValueError:  # too many pairs; as UnicodeDecodeError, not UTF-8
        raise refuse(HttpProblem.QUERY_MALFORMED) from None


def _hash(text: str) -> bytes:
    """Read a hash as RFC 4387 section 2.1 writes it: base64 without the padding.

    A `+` that was not sent as %2B has become a space by now, and is refused like any other stranger.
    """
    if _HASH.fullmatch(text) is None:
        raise refuse(HttpProblem.HASH_MALFORMED)
    octets = base64.b64decode(f"{text}=")
    # The last character holds two bits more than the hash has; there is one spelling only.
    if base64.b64encode(octets).decode() != f"{text}=":
        raise refuse(HttpProblem.HASH_MALFORMED)
    return octets
