import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from ca.errors import SealBroken
from directory.delivery.replies import Accepted, Outcome, Permanent, Phase, Transient
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.smtp import Envelope, SmtpSession
from directory.organization import Organization, smtp_password_identity
from tests.directory.builders import smart_host_of
from tests.directory.clocks import StoppedClock
from tests.directory.delivery.builders import a_sealer
from tests.directory.delivery.sink import Fate, SmtpSink, Stage, smtp_sink
from tests.directory.delivery.working import an_organization_at

SETTINGS = DeliverySettings()
BRIEF = timedelta(milliseconds=20)


def smart_hosts(settings: DeliverySettings = SETTINGS, clock: StoppedClock | None = None) -> SmartHosts:
    return SmartHosts(sealer=a_sealer(), clock=clock or StoppedClock(), settings=settings)


async def send(hosts: SmartHosts, organization: Organization) -> Outcome:
    async with hosts.session(organization, organization.mail_from) as session:
        if isinstance(session, Transient | Permanent):
            return session
        return await session.submit(
            Envelope(
                envelope_id="mail-1",
                sender=organization.mail_from,
                recipient=organization.mail_from,
                message=b"Subject: hello\r\n\r\nhello\r\n",
            )
        )


def with_password(organization: Organization, password: str, *, sealed_for: str) -> Organization:
    sealed = a_sealer().seal(password.encode(), smtp_password_identity(sealed_for))
    host = replace(smart_host_of(organization), username="keys", sealed_password=sealed)
    return replace(organization, smart_host=host)


async def test_keeps_a_connection_for_the_next_mail() -> None:
    async with smtp_sink() as sink:
        hosts = smart_hosts()
        organization = an_organization_at(sink.smart_host())
        for _ in range(3):
            assert isinstance(await send(hosts, organization), Accepted)
        await hosts.close()
    assert sink.connections == 1
    assert [command for command in sink.commands if command in {b"RSET", b"QUIT"}] == [
        b"RSET",
        b"RSET",
        b"QUIT",
    ]


@pytest.mark.parametrize("fate", [Fate.DROP, b"421 4.4.2 idle too long"])
async def test_connects_again_when_the_smart_host_has_hung_up(fate: Fate | bytes) -> None:
    async with smtp_sink(SmtpSink(script={Stage.RSET: [fate]})) as sink:
        hosts = smart_hosts()
        organization = an_organization_at(sink.smart_host())
        assert isinstance(await send(hosts, organization), Accepted)
        assert isinstance(await send(hosts, organization), Accepted)
        await hosts.close()
    assert sink.connections == 2


async def test_a_broken_session_is_not_used_again() -> None:
    async with smtp_sink(SmtpSink(script={Stage.DATA: [b"banana"]})) as sink:
        hosts = smart_hosts()
        organization = an_organization_at(sink.smart_host())
        assert isinstance(await send(hosts, organization), Transient)
        assert isinstance(await send(hosts, organization), Accepted)
        await hosts.close()
    assert sink.connections == 2


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with smtp_sink() as sink:
        hosts = smart_hosts(replace(SETTINGS, connection_idle=timedelta(0)))
        await send(hosts, an_organization_at(sink.smart_host()))
        async with asyncio.timeout(5):
            await sink.left()
        await hosts.close()
    assert sink.commands[-1] == b"QUIT"


async def test_organizations_share_no_connection() -> None:
    async with smtp_sink() as sink:
        hosts = smart_hosts()
        for organization_id in ("org-1", "org-2"):
            await send(hosts, an_organization_at(sink.smart_host(), organization_id=organization_id))
        await hosts.close()
    assert sink.connections == 2


async def test_organizations_share_the_bound_of_a_host() -> None:
    async with smtp_sink() as sink:
        hosts = smart_hosts(replace(SETTINGS, connections_per_host=1, connection_wait=BRIEF))
        one = an_organization_at(sink.smart_host(), organization_id="org-1")
        other = an_organization_at(sink.smart_host(), organization_id="org-2")
        async with hosts.session(one, one.mail_from) as session:
            assert isinstance(session, SmtpSession)
            outcome = await send(hosts, other)
        assert isinstance(outcome, Transient)
        assert outcome.failure.phase is Phase.WAIT
        assert isinstance(await send(hosts, other), Accepted)
        await hosts.close()


async def test_a_host_that_could_not_be_reached_rests() -> None:
    clock = StoppedClock()
    async with smtp_sink(SmtpSink(script={Stage.GREETING: [b"554 5.3.2 closed"]})) as sink:
        hosts = smart_hosts(clock=clock)
        organization = an_organization_at(sink.smart_host())
        first = await send(hosts, organization)
        assert await send(hosts, organization) == first
        assert sink.connections == 1
        clock.advance(SETTINGS.host_rest)
        assert isinstance(await send(hosts, organization), Accepted)
        await hosts.close()


async def test_the_wrong_password_of_one_organization_rests_no_other() -> None:
    async with smtp_sink(SmtpSink(extensions=(b"AUTH PLAIN",), script={Stage.AUTH: [b"535 no"]})) as sink:
        hosts = smart_hosts()
        one = an_organization_at(sink.smart_host(), organization_id="org-1")
        other = an_organization_at(sink.smart_host(), organization_id="org-2")
        assert isinstance(await send(hosts, with_password(one, "wrong", sealed_for="org-1")), Transient)
        assert isinstance(await send(hosts, with_password(other, "right", sealed_for="org-2")), Accepted)
        await hosts.close()
    assert sink.credentials == [(b"\0keys\0wrong", False), (b"\0keys\0right", False)]


async def test_a_password_sealed_for_another_organization_does_not_open() -> None:
    async with smtp_sink(SmtpSink(extensions=(b"AUTH PLAIN",))) as sink:
        hosts = smart_hosts()
        organization = with_password(an_organization_at(sink.smart_host()), "theirs", sealed_for="org-2")
        with pytest.raises(SealBroken):
            await send(hosts, organization)
        await hosts.close()
    assert sink.credentials == []


async def test_a_place_is_free_again_after_a_fault() -> None:
    async with smtp_sink() as sink:
        hosts = smart_hosts(replace(SETTINGS, connections_per_host=1, connection_wait=BRIEF))
        organization = an_organization_at(sink.smart_host())
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with hosts.session(organization, organization.mail_from):
                    raise ZeroDivisionError
        assert isinstance(await send(hosts, organization), Accepted)
        await hosts.close()


async def test_a_mail_cut_off_leaves_no_connection_behind() -> None:
    async with smtp_sink(SmtpSink(script={Stage.DOT: [Fate.HANG]})) as sink:
        hosts = smart_hosts()
        organization = an_organization_at(sink.smart_host())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(BRIEF.total_seconds()):
                await send(hosts, organization)
        assert isinstance(await send(hosts, organization), Accepted)
        await hosts.close()
    assert sink.connections == 2
