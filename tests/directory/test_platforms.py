import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.platforms import Platform, chosen, recognize

WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
)
MAC = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) "
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) "
    "AppleWebKit/605.1.15 Version/26.0 Mobile/15E148 Safari/604.1"
)
IPAD = (
    "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) "
    "AppleWebKit/605.1.15 Version/12.1 Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile Safari/537.36"
)
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CHROMEBOOK = (
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
)
THUNDERBIRD = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0"
WINDOWS_PHONE = (
    "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) like iPhone OS 7_0_3 Mobile Safari"
)


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (WINDOWS, Platform.WINDOWS),
        (MAC, Platform.MAC),
        (IPHONE, Platform.IPHONE),
        (IPAD, Platform.IPHONE),
        (ANDROID, Platform.ANDROID),
        (LINUX, Platform.LINUX),
        (CHROMEBOOK, Platform.LINUX),
        (THUNDERBIRD, Platform.THUNDERBIRD),
        (WINDOWS_PHONE, Platform.WINDOWS),
        ("curl/8.14.1", None),
        ("", None),
    ],
)
def test_knows_a_device_by_what_its_browser_calls_itself(user_agent: str, expected: Platform | None) -> None:
    assert recognize(user_agent) is expected


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ('"Windows"', Platform.WINDOWS),
        ('"macOS"', Platform.MAC),
        ('"iOS"', Platform.IPHONE),
        ('"Android"', Platform.ANDROID),
        ('"Linux"', Platform.LINUX),
        ('"Chrome OS"', Platform.LINUX),
        ('"Unknown"', Platform.MAC),
        ("", Platform.MAC),
    ],
)
def test_believes_a_client_hint_over_the_user_agent(hint: str, expected: Platform) -> None:
    assert recognize(MAC, hint) is expected


def test_reads_no_further_than_a_user_agent_is_long() -> None:
    assert recognize("x" * 600 + "iPhone") is None


@pytest.mark.parametrize("platform", Platform)
def test_takes_the_device_somebody_chose(platform: Platform) -> None:
    assert chosen(platform.value) is platform


@given(st.text())
def test_makes_nothing_of_a_choice_that_was_not_offered(name: str) -> None:
    assert (chosen(name) is None) == (name not in {platform.value for platform in Platform})


def test_makes_nothing_of_no_choice() -> None:
    assert chosen(None) is None
