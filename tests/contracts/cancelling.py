"""Cancels a coroutine at its n-th await: nobody chooses where a client hangs up or a time limit strikes."""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def cancelled_at(step: int, work: Coroutine[Any, Any, object]) -> bool:
    """Run the work in a task that is cancelled when it waits for the n-th time; tell whether it was."""
    task = asyncio.create_task(_counting(step, work))
    await asyncio.wait([task])
    if task.cancelled():
        return True
    task.result()
    return False


async def _counting(step: int, work: Coroutine[Any, Any, Result]) -> Result:
    return await _steps(step, work)


@coroutine
def _steps(step: int, work: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
    """Pass on what the work waits for, as `await` does, and count."""
    task = asyncio.current_task()
    assert task is not None
    waits = 0
    failure: BaseException | None = None
    while True:
        try:
            awaited = work.send(None) if failure is None else work.throw(failure)
        except StopIteration as end:
            result: Result = end.value
            return result
        waits += 1
        if waits == step:
            task.cancel()
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - handed to the work, whatever it is
            failure = error
        else:
            failure = None
