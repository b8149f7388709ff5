"""Where does the world fetch an issuer's certificate and the status of what it issued?

Only the names; serving them is the directory's business.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ca.errors import ProfileRefused


@dataclass(frozen=True, slots=True)
class Publication:
    """Where the issuer's certificate and the status of what it issued are published.

    Over http only: whoever fetches a CRL to judge a certificate must not need another certificate for it
    (RFC 5280 section 8, CA/B S/MIME BR 7.1.2.3).

    Raises:
        ProfileRefused: the base URL is not plain http to a fully qualified host name.
    """

    base_url: str

    def __post_init__(self) -> None:
        if (problem := _problem_of(self.base_url)) is not None:
            raise ProfileRefused("base_url", problem)
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))

    def crl_url(self, issuer_key_id: str, partition: int | None = None) -> str:
        """Where the issuer's complete CRL is, or that of one of its partitions."""
        part = "" if partition is None else f"/{partition}"
        return f"{self.base_url}/crl/{issuer_key_id}{part}.crl"

    def certificate_url(self, issuer_key_id: str) -> str:
        """Where the issuer's own certificate is, DER."""
        return f"{self.base_url}/ca/{issuer_key_id}.cer"

    @property
    def ocsp_url(self) -> str:
        """Where the issuing CA's OCSP responder is."""
        return f"{self.base_url}/ocsp"


def _problem_of(base_url: str) -> str | None:
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        return "is not a URL"
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port  # reading the port judges it
    except ValueError:
        return "is not a URL"
    if parts.scheme != "http":
        return "must be an http URL"
    if parts.username is not None or "?" in base_url or "#" in base_url:
        return "holds more than scheme, host, port and path"
    if not _is_host_name(host):
        return "must name a host that recipients' software can find: not an IP address, not a bare name"
    return None


def _is_host_name(host: str) -> bool:
    # Linters refuse the rest of the private names too, at the latest in `Issuer.rehearse`.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host.strip(".")
    return False
