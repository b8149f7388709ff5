from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from directory.delivery.exchanges.fetching import HttpsPolicyFetcher
from directory.delivery.exchanges.mta_sts import StsFailed
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.smtp import tls_context
from directory.delivery.tls_faults import TlsFault
from tests.directory.delivery.exchanges.nameserver import name_server
from tests.directory.delivery.exchanges.servers import (
    Credential,
    PolicyHost,
    a_server,
    policy_host,
    write_ca_file,
)

HOST = "mta-sts.example.org"


@asynccontextmanager
async def fetching(
    folder: Path,
    host: PolicyHost,
    *,
    credential: Credential | None = None,
    allow_private: bool = True,
    patience: timedelta = timedelta(seconds=5),
) -> AsyncIterator[HttpsPolicyFetcher]:
    async with name_server() as dns, policy_host(host, credential or a_server(HOST)) as served:
        dns.add(HOST, "A", "127.0.0.1")
        settings = DirectSettings(
            resolver=dns.name_server,
            allow_private=allow_private,
            https_port=served.port,
            policy_timeout=patience,
        )
        trust = tls_context(write_ca_file(folder))
        fetcher = HttpsPolicyFetcher(resolver=DnsResolver(settings), tls=trust, settings=settings)
        yield fetcher
        await fetcher.close()


async def test_fetches_a_policy_from_its_place(tmp_path: Path) -> None:
    host = PolicyHost()
    async with fetching(tmp_path, host) as fetcher:
        assert await fetcher.fetch("example.org") == host.body.decode()
    assert host.requests is not None
    [request] = host.requests
    assert request.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert b"\r\nHost: mta-sts.example.org\r\n" in request


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        (PolicyHost(status=b"404 Not Found"), TlsFault.STS_FETCH),
        (PolicyHost(status=b"301 Moved", headers=b"Location: https://127.0.0.1/\r\n"), TlsFault.STS_FETCH),
        (PolicyHost(content_type=b"text/html"), TlsFault.STS_FETCH),
        (PolicyHost(body=b"x" * (64 * 1024 + 1)), TlsFault.STS_POLICY_INVALID),
        (PolicyHost(body=b"\xff\xfe"), TlsFault.STS_POLICY_INVALID),
    ],
)
async def test_refuses_every_answer_but_a_short_text(
    tmp_path: Path, host: PolicyHost, fault: TlsFault
) -> None:
    async with fetching(tmp_path, host) as fetcher:
        with pytest.raises(StsFailed) as refused:
            await fetcher.fetch("example.org")
    assert refused.value.fault is fault


@pytest.mark.parametrize(
    "credential",
    [
        a_server(HOST, issuer="Somebody"),
        a_server("mta-sts.elsewhere.example"),
        a_server("127.0.0.1"),
        a_server(HOST, valid=timedelta(minutes=-30)),
    ],
)
async def test_believes_only_a_host_that_proves_its_name(tmp_path: Path, credential: Credential) -> None:
    host = PolicyHost()
    async with fetching(tmp_path, host, credential=credential) as fetcher:
        with pytest.raises(StsFailed) as refused:
            await fetcher.fetch("example.org")
    assert refused.value.fault is TlsFault.STS_WEBPKI_INVALID
    assert host.requests == []


async def test_does_not_go_to_private_addresses(tmp_path: Path) -> None:
    host = PolicyHost()
    async with fetching(tmp_path, host, allow_private=False) as fetcher:
        with pytest.raises(StsFailed):
            await fetcher.fetch("example.org")
    assert host.requests == []


async def test_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    brief = timedelta(milliseconds=300)
    async with fetching(tmp_path, PolicyHost(hangs=True), patience=brief) as fetcher:
        with pytest.raises(StsFailed) as refused:
            await fetcher.fetch("example.org")
    assert refused.value.fault is TlsFault.STS_FETCH


async def test_a_host_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    async with fetching(tmp_path, PolicyHost()) as fetcher:
        with pytest.raises(StsFailed) as refused:
            await fetcher.fetch("elsewhere.example")
    assert refused.value.fault is TlsFault.STS_FETCH
