"""The example of docs/webhooks.md, as it stands there, takes our calls and nobody else's."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from directory.channels.jobs import WebhookEvent
from directory.channels.signing import REPLAY_WINDOW, signed

DOCUMENT = Path(__file__).parents[3] / "docs" / "webhooks.md"
BODY = b'{"event":"password.ready"}'
SECRET = "whsec_1"


@pytest.fixture(scope="module")
def is_genuine() -> Callable[..., bool]:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCUMENT), "exec"), names)  # noqa: S102 - our own document
    found: Callable[..., bool] = names["is_genuine"]
    return found


def headers_at(moment: datetime, *, secret: str = SECRET, delivery_id: str = "d1") -> dict[str, str]:
    return signed(BODY, delivery_id=delivery_id, secret=secret, at=moment).headers


def now() -> datetime:
    # The example reads the system's clock, as a receiver does.
    return datetime.fromtimestamp(time.time(), UTC)


def test_takes_what_is_ours_and_new(is_genuine: Callable[..., bool]) -> None:
    assert is_genuine(SECRET, headers_at(now()), BODY, set())


@pytest.mark.parametrize("away", [REPLAY_WINDOW, -REPLAY_WINDOW])
def test_refuses_what_is_old_or_of_the_future(is_genuine: Callable[..., bool], away: timedelta) -> None:
    beyond = away + timedelta(seconds=2 if away > timedelta(0) else -2)

    assert not is_genuine(SECRET, headers_at(now() + beyond), BODY, set())


def test_refuses_a_replay(is_genuine: Callable[..., bool]) -> None:
    assert not is_genuine(SECRET, headers_at(now()), BODY, {"d1"})


def test_refuses_what_was_changed(is_genuine: Callable[..., bool]) -> None:
    genuine = headers_at(now())

    assert not is_genuine(SECRET, genuine, BODY + b" ", set())
    assert not is_genuine("whsec_2", genuine, BODY, set())
    assert not is_genuine(SECRET, genuine | {"Pushpki-Delivery": "d2"}, BODY, set())
    later = genuine["Pushpki-Signature"].replace("t=1", "t=2")
    assert not is_genuine(SECRET, genuine | {"Pushpki-Signature": later}, BODY, set())


def test_every_event_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    assert [event for event in WebhookEvent if f"`{event}`" not in text] == []
