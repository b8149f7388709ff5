"""How is an MTA-STS policy fetched? By HTTPS from its one place; only what TLS proves is believed.

The host's addresses come from our resolver and are looked at first: no stranger's name leads into a network
that is not public. The certificate must chain to a trusted one and name the host (RFC 8461 section 3.3).
"""

import asyncio
import ssl
from ipaddress import IPv6Address

import httpx

from directory.delivery.exchanges.mta_sts import StsFailed
from directory.delivery.exchanges.resolving import IpAddress, Resolver, ResolvingFailed
from directory.delivery.exchanges.routing import find_addresses
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.tls_faults import TlsFault

_LARGEST = 64 * 1024
"""Octets of a policy (RFC 8461 section 3.2 suggests this bound)."""
_PATH = "/.well-known/mta-sts.txt"


class HttpsPolicyFetcher:
    """Fetches policies from `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`."""

    def __init__(self, *, resolver: Resolver, tls: ssl.SSLContext, settings: DirectSettings) -> None:
        self._resolver = resolver
        self._settings = settings
        # No proxy of the environment, no redirect (section 3.3), no connection kept: each is for once a day.
        self._client = httpx.AsyncClient(
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            timeout=settings.policy_timeout.total_seconds(),
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def fetch(self, domain: str) -> str:
        """Return the text of a domain's policy.

        Raises:
            StsFailed: it was not to be had, or not in a way that proves where it comes from.
        """
        host = f"mta-sts.{domain}"
        try:
            found = await find_addresses(self._resolver, host, allow_private=self._settings.allow_private)
        except ResolvingFailed as error:
            raise StsFailed(TlsFault.STS_FETCH, str(error)) from error
        failed = StsFailed(TlsFault.STS_FETCH, f"{host} has no public address")
        for address in found.records:
            try:
                async with asyncio.timeout(self._settings.policy_timeout.total_seconds()):
                    return await self._fetch_from(address, host)
            except TimeoutError:
                failed = StsFailed(TlsFault.STS_FETCH, f"{host} did not answer in time")
            except httpx.HTTPError as error:
                failed = _judged(error)
        raise failed

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.aclose()

    async def _fetch_from(self, address: IpAddress, host: str) -> str:
        numeric = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        async with self._client.stream(
            "GET",
            f"https://{numeric}:{self._settings.https_port}{_PATH}",
            headers={"Host": host, "Accept": "text/plain", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": host},
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise StsFailed(TlsFault.STS_FETCH, f"{host} answered {response.status_code}")
            if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/plain":
                raise StsFailed(TlsFault.STS_FETCH, f"{host} answered with something else than plain text")
            return await _text_of(response, host)


async def _text_of(response: httpx.Response, host: str) -> str:
    body = bytearray()
    # Raw: what somebody compressed all the same could unfold without bounds.
    async for part in response.aiter_raw():
        body += part
        if len(body) > _LARGEST:
            raise StsFailed(TlsFault.STS_POLICY_INVALID, f"the policy of {host} is too large")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StsFailed(TlsFault.STS_POLICY_INVALID, f"the policy of {host} is not text") from error


def _judged(error: httpx.HTTPError) -> StsFailed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return StsFailed(TlsFault.STS_WEBPKI_INVALID, getattr(cause, "verify_message", "TLS failed"))
        cause = cause.__cause__ or cause.__context__
    return StsFailed(TlsFault.STS_FETCH, type(error).__name__)
