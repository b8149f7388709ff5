import asyncio
from math import inf

from directory.ldap.actions import LookUp, Operation
from directory.ldap.underway import LookupsUnderWay
from tests.directory.ldap.dialogue import a_session
from tests.directory.ldap.wire import search


def an_operation() -> Operation:
    (look_up,) = a_session().receive(search())
    assert isinstance(look_up, LookUp)
    return look_up.operation


async def endless() -> None:
    await asyncio.Future()


async def test_a_late_lookup_is_told_once_and_cancelled_if_it_still_does_not_end() -> None:
    lookups, operation = LookupsUnderWay(60), an_operation()
    task = asyncio.create_task(endless())
    lookups.begin(operation, task, 102.0)

    assert lookups.late_at(101.9) == []
    assert lookups.next_deadline == 102.0

    assert lookups.late_at(102.0) == [operation]
    assert lookups.late_at(161.9) == []
    assert lookups.next_deadline == 162.0
    assert task.cancelling() == 0

    assert lookups.late_at(162.0) == []
    assert lookups.next_deadline == inf
    assert task.cancelling() == 1
    await asyncio.gather(task, return_exceptions=True)


async def test_what_has_ended_is_never_late() -> None:
    lookups, first, second = LookupsUnderWay(60), an_operation(), an_operation()
    tasks = [asyncio.create_task(endless()) for _ in range(2)]
    lookups.begin(first, tasks[0], 102.0)
    lookups.begin(second, tasks[1], 103.0)

    lookups.end(first)

    assert lookups.next_deadline == 103.0
    assert lookups.late_at(200.0) == [second]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_there_is_nothing_to_look_after_where_nothing_is_under_way() -> None:
    assert LookupsUnderWay(60).next_deadline == inf
    assert LookupsUnderWay(60).late_at(1e9) == []
