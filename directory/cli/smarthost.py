"""What does `--smtp URL` mean? Where and how securely an organization's mail is handed over."""

from urllib.parse import unquote, urlsplit

from directory.access import is_loopback
from directory.errors import ConfigurationRefused
from directory.organization import SmartHost, SmtpSecurity

_DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+clear": 25}
_LARGEST_PORT = 65535
_REMEDY = "smtp://[USER@]HOST[:PORT] (STARTTLS), smtps:// (TLS from the first byte) or smtp+clear://"


def parse_smart_host(url: str) -> SmartHost:
    """Read a smart host's URL. `smtp` means STARTTLS, required; only to loopback is it clear.

    Raises:
        ConfigurationRefused: it is no such URL, or holds a password (which belongs into a file).
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(f"{error}") from error
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
    return SmartHost(
        host=host,
        port=port or _DEFAULT_PORTS[parts.scheme],
        security=_security(parts.scheme, host),
        username=unquote(parts.username) if parts.username else None,
    )


def _security(scheme: str, host: str) -> SmtpSecurity:
    match scheme:
        case "smtps":
            return SmtpSecurity.IMPLICIT
        case "smtp" if not _is_this_machine(host):
            return SmtpSecurity.STARTTLS
        case _:
            return SmtpSecurity.CLEAR


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or is_loopback(host)
    except ValueError:
        return False


def _refused(reason: str) -> ConfigurationRefused:
    return ConfigurationRefused(key="--smtp", reason=reason, remedy=f"give {_REMEDY}")
