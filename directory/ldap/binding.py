"""What becomes of a bind request, before anybody's credentials are looked at?"""

from dataclasses import dataclass, field
from enum import Enum

from directory.access import is_loopback
from directory.ldap.codes import ResultCode
from directory.ldap.errors import NameRefused
from directory.ldap.names import parse_name
from directory.ldap.requests import BindRequest
from directory.ldap.responses import Result
from directory.ldap.settings import ClearCredentials, LdapSettings
from directory.ldap.tree import Tree

_VERSION = 3


class Protection(Enum):
    """What protects a connection from being read by others."""

    NONE = "none"
    TLS = "TLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The bind fails with this result."""

    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymously:
    """The client binds as nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The bind succeeds if the gateway of that name holds this token."""

    gateway: str
    token: str = field(repr=False)


Verdict = Refuse | Anonymously | Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Over what kind of connection the request came."""

    peer_address: str
    protection: Protection

    def allow_credentials(self, settings: LdapSettings) -> bool:
        """Whether a password may cross this connection."""
        if self.protection is Protection.TLS:
            return True
        return settings.clear_credentials is ClearCredentials.LOOPBACK and is_loopback(self.peer_address)


WRONG_CREDENTIALS = Result(code=ResultCode.INVALID_CREDENTIALS)


def judge_bind(
    request: BindRequest, circumstances: Circumstances, settings: LdapSettings, tree: Tree
) -> Verdict:
    """Decide about a bind request as far as that is possible without looking at the password.

    In this order: the protocol's version; the method; anonymous (RFC 4513 section 5.1.1); a name without a
    password, which some programs mistake for a login (section 5.1.2); credentials in clear; the name.
    """
    if request.version != _VERSION:
        return _refuse(ResultCode.PROTOCOL_ERROR, "only LDAP version 3 is spoken here")
    if request.password is None:
        return _refuse(ResultCode.AUTH_METHOD_NOT_SUPPORTED, "only simple binds are accepted")
    if not request.password:
        if not request.name:
            return Anonymously()
        return _refuse(ResultCode.UNWILLING_TO_PERFORM, "a name without a password")
    if not circumstances.allow_credentials(settings):
        return _refuse(ResultCode.CONFIDENTIALITY_REQUIRED, "use StartTLS or LDAPS before a password")
    return _check(request.name, request.password, tree)


def _check(name: str, password: bytes, tree: Tree) -> Verdict:
    try:
        gateway = tree.gateway_named(parse_name(name))
        token = password.decode()
    except (NameRefused, UnicodeDecodeError):
        gateway, token = None, ""
    return Refuse(result=WRONG_CREDENTIALS) if gateway is None else Check(gateway=gateway, token=token)


def _refuse(code: ResultCode, diagnostic: str) -> Refuse:
    return Refuse(result=Result(code=code, diagnostic=diagnostic))
