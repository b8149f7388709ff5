"""What does `--smtp URL` mean? Where and how securely an organization's mail is handed over."""

import re
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from directory.access import is_loopback
from directory.errors import ConfigurationRefused
from directory.organization import SmartHost, SmtpSecurity

_DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+clear": 25}
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*")
"""LDH labels (RFC 5890 section 2.3.1); an international name is given by its A-labels."""
_REMEDY = "smtp://[USER@]HOST[:PORT] (STARTTLS), smtps:// (TLS from the first byte), smtp+clear://, or mx:"


DIRECT = "mx:"


def parse_smart_host(url: str) -> SmartHost:
    """Read a smart host's URL. `smtp` means STARTTLS, required; only to loopback is it clear.

    Raises:
        ConfigurationRefused: it is no such URL, or holds a password (which belongs into a file).
    """
    if not url.isprintable():
        raise _refused("is not a URL")  # urlsplit drops line ends and tabs
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        # `from None`: the error quotes what it took for a port, which may be the end of a password.
        raise _refused("is not a URL") from None
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not host
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise _refused("is not the URL of a smart host")
    if parts.password is not None:
        # Not echoed: the command line was public enough.
        raise ConfigurationRefused(
            key="--smtp", reason="holds a password", remedy="write it to a file and give --smtp-password-file"
        )
    if port == 0:
        raise _refused("has port 0")
    if not _names_a_host(host):
        raise _refused(f"{host!r} is neither a host name nor an IP address")
    username = unquote(parts.username) if parts.username else None
    if username is not None and not username.isprintable():
        raise _refused("has control characters in its user")
    return SmartHost(
        host=host,
        port=port or _DEFAULT_PORTS[parts.scheme],
        security=_security(parts.scheme, host),
        username=username,
    )


def parse_route(url: str) -> SmartHost | None:
    """Read where mail goes: a smart host's URL, or `mx:` (None) for the recipients' mail exchangers.

    Raises:
        ConfigurationRefused: it is neither.
    """
    return None if url == DIRECT else parse_smart_host(url)


def refuse_clear_beyond_loopback(smart_host: SmartHost) -> None:
    """Refuse a smart host that the delivery, as configured, would never speak to.

    Raises:
        ConfigurationRefused: it is on another machine and without TLS.
    """
    if smart_host.security is SmtpSecurity.CLEAR and not _is_this_machine(smart_host.host):
        raise ConfigurationRefused(
            key="--smtp",
            reason=f"{smart_host.host} would be spoken to in clear",
            remedy="give smtp:// or smtps://, or set delivery.allow_clear_beyond_loopback",
        )


def _security(scheme: str, host: str) -> SmtpSecurity:
    match scheme:
        case "smtps":
            return SmtpSecurity.IMPLICIT
        case "smtp" if not _is_this_machine(host):
            return SmtpSecurity.STARTTLS
        case _:
            return SmtpSecurity.CLEAR


def _names_a_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return True


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or is_loopback(host)
    except ValueError:
        return False


def _refused(reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(key="--smtp", reason=reason, remedy=f"give {_REMEDY}")
