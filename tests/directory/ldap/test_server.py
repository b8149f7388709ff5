"""Starting and stopping the front end, and a real client: ldap3."""

import asyncio
import ssl
from collections.abc import Callable

import ldap3
import pytest

from directory.errors import ConfigurationRefused
from directory.ldap.codes import ResultCode
from directory.ldap.connection import Listener
from directory.ldap.server import LdapServer
from directory.ldap.settings import LdapSettings
from tests.directory.ldap.fixtures import Run
from tests.directory.ldap.memory import BIND_NAME, TOKEN, Directory, der_of
from tests.directory.ldap.network import HOST, Client, Gated, Serving, Tls, client_of, serving
from tests.directory.ldap.wire import CERTIFICATE, ReadResult, search


def a_server(directory: Directory, suffix: str = "o=directory") -> LdapServer:
    return LdapServer(
        answer=directory.answer,
        named_gateway=directory.named_gateway,
        certified_gateway=directory.certified_gateway,
        still_good=directory.still_good,
        settings=LdapSettings(suffix=suffix),
    )


def test_a_tls_listener_needs_a_certificate(run: Run) -> None:
    async def test() -> None:
        with pytest.raises(ConfigurationRefused) as refused:
            await a_server(Directory()).listen(HOST, 0, Listener.TLS)
        assert refused.value.key == "tls.certificate"

    run(test())


def test_a_wrong_suffix_is_refused_before_anything_listens() -> None:
    with pytest.raises(ConfigurationRefused):
        a_server(Directory(), suffix="nonsense")


def test_stopping_lets_what_is_under_way_be_answered(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        server = a_server(directory)
        port = await server.listen(HOST, 0, Listener.CLEAR)
        busy, idle = await Client.connect(port), await Client.connect(port)
        await busy.send(search())
        await directory.asked.wait()
        stopping = asyncio.create_task(server.stop(10))
        (notice,) = await idle.rest()
        assert isinstance(notice, ReadResult)
        assert notice.code is ResultCode.UNAVAILABLE

        directory.gate.set()
        assert len(await busy.rest()) == 3  # the entry, the result, the notice
        await stopping
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(port)
        await busy.close()
        await idle.close()

    run(test())


def test_stopping_does_not_wait_longer_than_its_grace(run: Run) -> None:
    async def test() -> None:
        directory = Gated()
        server = a_server(directory)
        client = await Client.connect(await server.listen(HOST, 0, Listener.CLEAR))
        await client.send(search())
        await directory.asked.wait()

        await server.stop(0.05)
        assert await client.rest() == []
        await client.close()

    run(test())


def test_stopping_ends_a_handshake_that_nobody_finishes(run: Run, tls: Tls) -> None:
    async def test() -> None:
        async with serving(tls=tls, listener=Listener.TLS, grace=0.05) as served:
            silent = await Client.connect(served.port)
        assert await silent.rest() == []
        await silent.close()

    run(test())


def test_two_listeners_are_one_front_end(run: Run, tls: Tls) -> None:
    async def test() -> None:
        async with serving(tls=tls) as served:
            ldaps = await served.server.listen(HOST, 0, Listener.TLS)
            async with client_of(served) as clear:
                other = await Client.connect(ldaps, tls)
                await clear.send(search())
                await other.send(search())
                assert (await clear.result()).code is (await other.result()).code is ResultCode.SUCCESS
                await other.close()

    run(test())


# ldap3, a client of other people's.


def with_ldap3(
    run: Run, tls: Tls, check: Callable[[Serving], None], directory: Directory | None = None
) -> None:
    async def test() -> None:
        async with serving(directory, tls=tls) as served:
            await asyncio.to_thread(check, served)

    run(test())


def a_connection(
    serving: Serving, tls: Tls, *, user: str | None = None, get_info: str = ldap3.SCHEMA
) -> ldap3.Connection:
    trust = ldap3.Tls(ca_certs_file=str(tls.certificate), validate=ssl.CERT_REQUIRED)
    server = ldap3.Server("localhost", port=serving.port, tls=trust, get_info=get_info)
    return ldap3.Connection(
        server, user=user, password=TOKEN if user else None, raise_exceptions=False, check_names=True
    )


def test_ldap3_reads_root_dse_and_schema_and_finds_a_certificate(run: Run, tls: Tls) -> None:
    def check(serving: Serving) -> None:
        with a_connection(serving, tls, get_info=ldap3.ALL) as connection:
            assert connection.bound
            assert connection.server.info.naming_contexts == ["o=directory"]
            assert "inetOrgPerson" in connection.server.schema.object_classes
            assert connection.search(
                "o=directory", "(&(objectClass=inetOrgPerson)(mail=ALICE@example.com))", attributes=["*", "+"]
            )
            (entry,) = connection.response
            assert entry["dn"] == "mail=alice@example.com,ou=people,o=directory"
            assert entry["raw_attributes"][CERTIFICATE] == [der_of("alice@example.com")]
            assert entry["raw_attributes"]["subschemaSubentry"] == [b"cn=Subschema"]

    with_ldap3(run, tls, check)


@pytest.mark.filterwarnings("ignore:ssl.match_hostname:DeprecationWarning")  # by ldap3
def test_ldap3_binds_under_start_tls_and_mints(run: Run, tls: Tls) -> None:
    directory = Directory()

    def check(serving: Serving) -> None:
        connection = a_connection(serving, tls, user=BIND_NAME)
        assert connection.start_tls()
        assert connection.bind()
        assert connection.extend.standard.who_am_i() == f"dn:{BIND_NAME}"
        assert connection.search("", "(mail=new@example.com)", attributes=["userCertificate"])
        assert connection.response[0]["raw_attributes"][CERTIFICATE] == [der_of("new@example.com")]
        connection.unbind()

    with_ldap3(run, tls, check, directory)
    assert directory.mints == ["new@example.com"]


def test_ldap3_is_told_what_is_wrong(run: Run, tls: Tls) -> None:
    def check(serving: Serving) -> None:
        stranger = a_connection(serving, tls, user="cn=other,ou=gateways,o=directory")
        assert not stranger.bind()
        assert stranger.result["description"] == "invalidCredentials"
        stranger.unbind()
        with a_connection(serving, tls) as connection:
            assert not connection.search("o=nowhere", "(mail=a@example.com)")
            assert connection.result["description"] == "noSuchObject"
            assert not connection.delete("o=directory")
            assert connection.result["description"] == "unwillingToPerform"
            assert connection.compare("o=directory", "o", "Directory")
            assert not connection.search("o=directory", "(mail=*)")
            assert connection.result["description"] == "success"

    with_ldap3(run, tls, check)
