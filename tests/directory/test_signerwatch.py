import asyncio
import logging

import pytest

from ca.errors import SignerUnavailable
from directory import signerwatch
from directory.signerwatch import SignerWatch


class Token:
    label = "hsm"

    def __init__(self) -> None:
        self.problem: SignerUnavailable | None = None
        self.checked = 0

    def check(self) -> SignerUnavailable | None:
        self.checked += 1
        return self.problem


def away(reason: str = "is not there") -> SignerUnavailable:
    return SignerUnavailable("hsm", reason)


async def test_a_token_that_signs_is_nothing_to_talk_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await SignerWatch(Token()).look()

    assert caplog.messages == []


async def test_that_it_went_and_that_it_returned_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    token = Token()
    watch = SignerWatch(token)

    with caplog.at_level(logging.INFO):
        for token.problem in (None, away(), away(), away("does not take the PIN"), None, None):
            await watch.look()

    assert caplog.messages == [
        "token hsm is not there: nothing is minted until it signs again, what there is is served",
        "token hsm does not take the PIN: nothing is minted until it signs again, what there is is served",
        "token hsm signs again",
    ]


async def test_an_absence_that_is_over_at_the_next_look_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    token = Token()
    token.check = lambda: None  # type: ignore[method-assign]
    token.problem = away()

    with caplog.at_level(logging.INFO):
        await SignerWatch(token).look()

    assert [message.partition(":")[0] for message in caplog.messages] == [
        "token hsm is not there",
        "token hsm signs again",
    ]


async def test_it_looks_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signerwatch, "POLL", signerwatch.POLL / 1000)
    token, looked = Token(), asyncio.Event()
    loop = asyncio.get_running_loop()
    check = token.check

    def notice() -> SignerUnavailable | None:
        loop.call_soon_threadsafe(looked.set)
        return check()

    token.check = notice  # type: ignore[method-assign]
    watch = SignerWatch(token)
    task = asyncio.create_task(watch.run())
    await looked.wait()

    watch.stop()

    await task
    assert token.checked >= 1
