"""What connections share: lookups at once, their number, and work that is stopped."""

import asyncio

import pytest

from ca.address import Mailbox
from directory.callers import Anonymous, Gateway
from directory.errors import StoreUnavailable
from directory.ldap.errors import Overloaded
from directory.ldap.service import Service
from directory.ldap.settings import LdapSettings
from directory.lookup import Absent, Found, Question
from tests.directory.ldap.memory import Directory
from tests.directory.ldap.network import Failing, Gated


def a_service(directory: Directory, *, lookups: int = 8, connections: int = 2) -> Service:
    return Service(
        answer=directory.answer,
        named_gateway=directory.named_gateway,
        certified_gateway=directory.certified_gateway,
        still_good=directory.still_good,
        settings=LdapSettings(lookups=lookups, connections=connections),
        tls=None,
    )


def questions(*addresses: str) -> list[Question]:
    asker = Anonymous(may_read=True)
    return [Question(mailbox=Mailbox.parse(address), asker=asker) for address in addresses]


class Guest:
    """A connection that only counts."""

    peer_address = "192.0.2.7"
    credential = None

    def revise(self, gateway: Gateway | None) -> None:
        raise AssertionError(gateway)

    def drain(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        raise AssertionError


async def test_several_questions_are_asked_at_once_and_answered_in_their_order() -> None:
    directory = Gated()
    asking = asyncio.create_task(
        asyncio.wait_for(_outcomes(a_service(directory), "bob@example.com", "alice@example.com"), timeout=10)
    )
    await directory.asked.wait()
    directory.gate.set()

    unknown, known = await asking
    assert isinstance(unknown, Absent)
    assert isinstance(known, Found)


async def _outcomes(service: Service, *addresses: str) -> list[object]:
    return list(await service.outcomes(questions(*addresses)))


async def test_a_failure_is_an_outcome() -> None:
    service = a_service(Failing(StoreUnavailable(reason="locked")))

    (outcome,) = await service.outcomes(questions("alice@example.com"))
    assert isinstance(outcome, StoreUnavailable)


async def test_the_number_of_lookups_is_bounded_and_given_back() -> None:
    service = a_service(Directory(), lookups=1)

    (outcome,) = await service.outcomes(questions("a@example.com", "b@example.com"))
    assert isinstance(outcome, Overloaded)
    for _ in range(3):
        (outcome,) = await service.outcomes(questions("alice@example.com"))
        assert isinstance(outcome, Found)


async def test_handshakes_and_connections_count_together() -> None:
    service = a_service(Directory(), connections=2)
    guest = Guest()

    service.admit(guest)
    assert service.has_room("192.0.2.8")
    with service.handshake("192.0.2.8"):
        assert not service.has_room("192.0.2.8")
    assert service.has_room("192.0.2.8")
    service.admit(Guest())
    assert not service.has_room("192.0.2.8")
    service.dismiss(guest)
    service.dismiss(guest)
    assert service.has_room("192.0.2.8")
    assert len(service.clients) == 1


async def test_stopping_cancels_the_work_that_is_left() -> None:
    service = a_service(Directory())
    task = service.start(_forever())
    await service.stop_work()

    assert task.cancelled()


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_credentials_are_checked_within_the_time_limit() -> None:
    class Hanging(Directory):
        async def named_gateway(self, name: str, token: str) -> None:
            del name, token
            await asyncio.Event().wait()

    directory = Hanging()
    service = Service(
        answer=directory.answer,
        named_gateway=directory.named_gateway,
        certified_gateway=directory.certified_gateway,
        still_good=directory.still_good,
        settings=LdapSettings(answer_within=0.01),
        tls=None,
    )

    with pytest.raises(TimeoutError):
        await service.gateway("gw", "token")
