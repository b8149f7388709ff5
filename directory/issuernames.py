"""What is a new issuing CA called? As was wished for, or a usual name with the year that nobody has."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from ca.hierarchy import AuthorityName
from ca.profiles import Purpose
from directory.errors import AlreadyExists
from directory.hierarchy import Hierarchy
from directory.issuing_ports import Wish

_LONGEST_IN_NAME: Final = 40
_YEAR: Final = re.compile(r" \d{4}(?: \d+)?$")


def name_for(wish: Wish, hierarchy: Hierarchy, taken: Collection[str], now: datetime) -> AuthorityName:
    """Return the name that was wished for, or a usual one that nobody has.

    Raises:
        AlreadyExists: somebody has the name that was wished for.
    """
    organization = _organization_of(hierarchy)
    if wish.common_name is not None:
        name = AuthorityName(organization=organization, common_name=wish.common_name)
        if name.distinguished_name.rfc4514_string() in taken:
            raise AlreadyExists(kind="issuer", name=wish.common_name)
        return name
    whose = wish.organization.name if wish.organization else organization
    return _free_name(organization, f"{whose[:_LONGEST_IN_NAME].strip()} Issuing CA", taken, now)


def next_name(hierarchy: Hierarchy, former: x509.Certificate, now: datetime) -> str:
    """Return the common name of the CA that follows another: the same, with another year or number."""
    taken = {one.subject for one in hierarchy.issuers}
    common_name = str(former.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    stem = _YEAR.sub("", common_name)[: _LONGEST_IN_NAME + len(" Issuing CA")].strip()
    return _free_name(_organization_of(hierarchy), stem, taken, now).common_name


def _free_name(organization: str, stem: str, taken: Collection[str], now: datetime) -> AuthorityName:
    """Return a name with the year, and a number if others have it."""
    usual = f"{stem} {now.year}"
    names = (usual if count == 1 else f"{usual} {count}" for count in range(1, len(taken) + 2))
    candidates = (AuthorityName(organization=organization, common_name=one) for one in names)
    return next(one for one in candidates if one.distinguished_name.rfc4514_string() not in taken)


def _organization_of(hierarchy: Hierarchy) -> str:
    """Return the organization in the names of the service's own CAs."""
    own = next(one for one in hierarchy.issuers if one.purpose is Purpose.ROOT_CA and not one.is_foreign)
    subject = x509.load_der_x509_certificate(own.certificate).subject
    return str(subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)
