from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from directory.delivery.settings import DeliverySettings, SmtpTimeouts
from directory.errors import ConfigurationRefused


def test_a_key_is_held_for_seven_days_after_acceptance() -> None:
    assert DeliverySettings().hold == timedelta(days=7)


def test_the_reply_to_the_final_dot_is_awaited_for_ten_minutes() -> None:
    # RFC 5321 section 4.5.3.2.6
    assert DeliverySettings().timeouts.data == timedelta(minutes=10)


@pytest.mark.parametrize("attempt", [timedelta(seconds=1), timedelta(minutes=15), timedelta(days=1)])
def test_a_lease_outlives_the_longest_attempt_and_its_record(attempt: timedelta) -> None:
    settings = DeliverySettings(longest_attempt=attempt)
    assert settings.lease > settings.longest_attempt + settings.timeouts.data + settings.recording


def test_a_smart_host_rests_for_less_than_the_shortest_pause() -> None:
    settings = DeliverySettings()
    assert settings.host_rest < settings.backoff.shortest


@pytest.mark.parametrize(
    "change",
    [
        {"poll": timedelta(0)},
        {"longest_attempt": timedelta(seconds=-1)},
        {"recording": timedelta(0)},
        {"connection_wait": timedelta(0)},
        {"timeouts": SmtpTimeouts(command=timedelta(0))},
        {"in_flight": 0},
        {"connections_per_host": 0},
        {"helo_name": "mail.example.org\r\nRSET"},
        {"helo_name": "two words"},
        {"helo_name": ""},
    ],
)
def test_refuses_numbers_and_names_that_cannot_work(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationRefused):
        replace(DeliverySettings(), **change)
