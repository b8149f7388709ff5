"""What becomes of a bind request, before anybody's credentials are looked at?"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from directory.access import is_loopback
from directory.ldap.codes import ResultCode
from directory.ldap.errors import NameRefused
from directory.ldap.names import parse_name
from directory.ldap.requests import BindRequest, Sasl
from directory.ldap.responses import Result
from directory.ldap.settings import ClearCredentials, LdapSettings
from directory.ldap.tree import Tree

PLAIN: Final = "PLAIN"  # RFC 4616
EXTERNAL: Final = "EXTERNAL"  # RFC 4422 appendix A, RFC 4513 section 5.2.3

_VERSION = 3
_LONGEST_IDENTITY = 512


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCertificate:
    """The bind succeeds if this TLS certificate is a gateway's: the named one's, or anybody's if None."""

    sha256: bytes
    gateway: str | None


Verdict = Refuse | Anonymously | Check | CheckCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Over what kind of connection the request came."""

    peer_address: str
    protection: Protection
    client_certificate: bytes | None = None
    """The SHA-256 of the certificate that the client has shown under TLS."""

    def allow_credentials(self, settings: LdapSettings) -> bool:
        """Whether a password may cross this connection."""
        if self.protection is Protection.TLS:
            return True
        return settings.clear_credentials is ClearCredentials.LOOPBACK and is_loopback(self.peer_address)

    def mechanisms(self, settings: LdapSettings) -> tuple[str, ...]:
        """Return the SASL mechanisms a client could use as things are (RFC 4513 section 5.2.1.5)."""
        external = (EXTERNAL,) if self.client_certificate is not None else ()
        return (*external, PLAIN) if self.allow_credentials(settings) else external


WRONG_CREDENTIALS = Result(code=ResultCode.INVALID_CREDENTIALS)
_WRONG = Refuse(result=WRONG_CREDENTIALS)


def judge_bind(
    request: BindRequest, circumstances: Circumstances, settings: LdapSettings, tree: Tree
) -> Verdict:
    """Decide about a bind request as far as that is possible without looking at the credentials.

    In this order: the protocol's version; the method; anonymous (RFC 4513 section 5.1.1); a name without a
    password, which some programs mistake for a login (section 5.1.2); credentials in clear; the name.
    """
    if request.version != _VERSION:
        return _refuse(ResultCode.PROTOCOL_ERROR, "only LDAP version 3 is spoken here")
    if request.sasl is not None:
        return _judge_sasl(request.sasl, circumstances, settings, tree)
    if request.password is not None:
        return _judge_simple(request.name, request.password, circumstances, settings, tree)
    return _refuse(ResultCode.AUTH_METHOD_NOT_SUPPORTED, "an unknown way to authenticate")


def _judge_simple(
    name: str, password: bytes, circumstances: Circumstances, settings: LdapSettings, tree: Tree
) -> Verdict:
    if not password:
        return (
            _refuse(ResultCode.UNWILLING_TO_PERFORM, "a name without a password") if name else Anonymously()
        )
    if not circumstances.allow_credentials(settings):
        return _in_clear()
    return _check(_gateway_of_name(name, tree), password)


def _judge_sasl(sasl: Sasl, circumstances: Circumstances, settings: LdapSettings, tree: Tree) -> Verdict:
    """Decide about a SASL bind, which here is always one step: there is no challenge to wait for."""
    match sasl.mechanism.upper():
        case "PLAIN":
            if not circumstances.allow_credentials(settings):
                return _in_clear()
            if sasl.credentials is None:
                return _refuse(ResultCode.UNWILLING_TO_PERFORM, "send the credentials with the request")
            return _judge_plain(sasl.credentials, tree)
        case "EXTERNAL":
            if circumstances.client_certificate is None:
                return _refuse(ResultCode.INAPPROPRIATE_AUTHENTICATION, "no client certificate was shown")
            return _judge_external(sasl.credentials or b"", circumstances.client_certificate, tree)
        case _:
            return _refuse(ResultCode.AUTH_METHOD_NOT_SUPPORTED, "not a supported SASL mechanism")


def _judge_plain(credentials: bytes, tree: Tree) -> Verdict:
    """Take `[authzid] NUL authcid NUL passwd` apart (RFC 4616 section 2); nobody may act as somebody else."""
    parts = credentials.split(b"\0")
    if len(parts) != 3 or not parts[2]:  # noqa: PLR2004 - the three of the RFC
        return _WRONG
    authorized, authenticated, token = parts
    gateway = _gateway_of_identity(authenticated, tree)
    if authorized and _gateway_of_identity(authorized, tree) != gateway:
        return _WRONG
    return _check(gateway, token)


def _judge_external(authorized: bytes, certificate: bytes, tree: Tree) -> Verdict:
    gateway = _gateway_of_identity(authorized, tree) if authorized else None
    if authorized and gateway is None:
        return _WRONG
    return CheckCertificate(sha256=certificate, gateway=gateway)


def _gateway_of_identity(identity: bytes, tree: Tree) -> str | None:
    """Read `dn:NAME` or `u:GATEWAY` (RFC 4513 section 5.2.1.8), or either without saying which."""
    try:
        text = identity.decode()
    except UnicodeDecodeError:
        return None
    if len(text) > _LONGEST_IDENTITY:
        return None
    kind, colon, rest = text.partition(":")
    match kind.lower() if colon else "":
        case "dn":
            return _gateway_of_name(rest, tree)
        case "u":
            return rest.lower()
        case _:
            return _gateway_of_name(text, tree) if "=" in text else text.lower()


def _gateway_of_name(name: str, tree: Tree) -> str | None:
    try:
        gateway = tree.gateway_named(parse_name(name))
    except NameRefused:
        return None
    return None if gateway is None else gateway.lower()


def _check(gateway: str | None, token: bytes) -> Verdict:
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return _WRONG
    return _WRONG if gateway is None else Check(gateway=gateway, token=text)


def _in_clear() -> Refuse:
    return _refuse(ResultCode.CONFIDENTIALITY_REQUIRED, "use StartTLS or LDAPS before a password")


def _refuse(code: ResultCode, diagnostic: str) -> Refuse:
    return Refuse(result=Result(code=code, diagnostic=diagnostic))
