"""How is one webhook call made? One POST over verified TLS to an address that was judged; the status counts.

No redirect is followed, no proxy of the environment used, nothing of the answer read but its status: the
other side is an organization's, and whatever it sends must not cost the service anything.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import httpcore

from directory.channels.connecting import JudgedAddress
from directory.channels.jobs import CallFailure
from directory.channels.targets import Address, WebhookTarget, may_connect
from directory.errors import ConfigurationRefused

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]
"""Returns the addresses of a host, or raises OSError."""

_MOST_ADDRESSES = 3
"""Of a name, how many are tried in turn; the timeout holds for all of them together."""
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "pushpki",
    "Accept": "*/*",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRules:
    """The operator's rules for webhook calls."""

    timeout: timedelta = timedelta(seconds=10)
    """For a whole call, from the name to the status."""
    allow_private: bool = False
    """Whether calls may go to private networks and to this machine."""
    ca_file: Path | None = None
    """PEM certificates that webhooks may chain to, besides the system's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """The status of the answer, or why there was none."""

    milliseconds: int
    status: int | None = None
    failure: CallFailure | None = None


class _NotMade(Exception):
    """The call was not made, or not answered."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure)
        self.failure = failure


class WebhookClient:
    """Makes webhook calls, each over a connection of its own.

    Raises:
        ConfigurationRefused: the file of additional CA certificates cannot be used.
    """

    def __init__(self, rules: WebhookRules, *, resolve: Resolver | None = None) -> None:
        self._rules = rules
        self._resolve = resolve or _resolve
        self._tls = _tls_context(rules.ca_file)

    async def call(self, target: WebhookTarget, body: bytes, headers: Mapping[str, str]) -> CallResult:
        """POST the body; whatever goes wrong on the way is a result."""
        begun = time.monotonic()
        status, failure = None, None
        try:
            async with asyncio.timeout(self._rules.timeout.total_seconds()):
                status = await self._call(target, body, headers)
        except TimeoutError:
            failure = CallFailure.TIMED_OUT
        except _NotMade as error:
            failure = error.failure
        milliseconds = round((time.monotonic() - begun) * 1000)
        return CallResult(milliseconds=milliseconds, status=status, failure=failure)

    async def _call(self, target: WebhookTarget, body: bytes, headers: Mapping[str, str]) -> int:
        *others, last = (await self._addresses(target))[:_MOST_ADDRESSES]
        for address in others:
            try:
                return await self._post(target, address, body, headers)
            except _NotMade as error:
                # Nobody there: nothing was said yet, so the next address may be asked.
                if error.failure is not CallFailure.UNREACHABLE:
                    raise
        return await self._post(target, last, body, headers)

    async def _addresses(self, target: WebhookTarget) -> Sequence[Address]:
        if target.address is not None:
            addresses: Sequence[Address] = [target.address]
        else:
            try:
                addresses = await self._resolve(target.host, target.port)
            except OSError as error:
                raise _NotMade(CallFailure.NAME_NOT_RESOLVED) from error
        if not addresses:
            raise _NotMade(CallFailure.NAME_NOT_RESOLVED)
        # One bad address among good ones is how a name server gets a second try: refuse them all.
        if not all(may_connect(one, allow_private=self._rules.allow_private) for one in addresses):
            raise _NotMade(CallFailure.ADDRESS_REFUSED)
        if not target.is_tls and not all(one.is_loopback for one in addresses):
            raise _NotMade(CallFailure.ADDRESS_REFUSED)
        return addresses

    async def _post(
        self, target: WebhookTarget, address: Address, body: bytes, headers: Mapping[str, str]
    ) -> int:
        url = httpcore.URL(
            scheme="https" if target.is_tls else "http",
            host=target.host,
            port=target.port,
            target=target.path,
        )
        patience = self._rules.timeout.total_seconds()
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), patience)
        try:
            async with (
                httpcore.AsyncConnectionPool(
                    ssl_context=self._tls, max_connections=1, network_backend=JudgedAddress(address)
                ) as connections,
                connections.stream(
                    "POST",
                    url,
                    headers=[*_HEADERS.items(), *headers.items()],
                    content=body,
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                return int(response.status)
        except httpcore.TimeoutException as error:
            raise _NotMade(CallFailure.TIMED_OUT) from error
        except httpcore.ConnectError as error:
            raise _NotMade(_connect_failure(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _NotMade(CallFailure.CONNECTION_LOST) from error


def _connect_failure(error: BaseException) -> CallFailure:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return CallFailure.TLS_FAILED
        cause = cause.__cause__ or cause.__context__
    return CallFailure.UNREACHABLE


async def _resolve(host: str, port: int) -> Sequence[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(address[0])) for *_, address in found))


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        reason = f"{ca_file}: {error.strerror or 'holds no certificate'}"
        raise ConfigurationRefused(key="webhook.ca_file", reason=reason) from error
    return context
