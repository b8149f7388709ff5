"""`pushpki org webhook`: the secret is shown once, the URL is judged, everything is on record."""

import pytest

from tests.directory.cli.test_organizations import add
from tests.directory.cli.workplace import Workplace

URL = "https://hooks.telling.com/pushpki"


@pytest.fixture
def telling(workplace: Workplace) -> Workplace:
    workplace.document(*add("telling", domain="telling.com", mail_from="keys@telling.com"))
    return workplace


def url_of(workplace: Workplace) -> object:
    (found,) = [one for one in workplace.document("org", "list")["organizations"] if one["slug"] == "telling"]
    return found["webhook_url"]


def test_is_set_rotated_and_removed(telling: Workplace) -> None:
    first = telling.document("org", "webhook", "telling", "--url", URL)["secret"]
    assert first.startswith("whsec_")
    assert url_of(telling) == URL

    second = telling.document("org", "webhook", "telling", "--rotate")["secret"]
    assert second != first
    assert url_of(telling) == URL

    assert telling.document("org", "webhook", "telling", "--remove", "--yes")["webhook"] is None
    assert url_of(telling) is None
    assert "no webhook" in telling.refusal("org", "webhook", "telling", "--rotate", code=78)


def test_the_secret_is_the_last_line(telling: Workplace) -> None:
    lines = telling.lines("org", "webhook", "telling", "--url", URL)

    assert lines[-1].startswith("whsec_")


@pytest.mark.parametrize(
    "url", ["http://hooks.telling.com/", "https://127.0.0.1/", "https://u:p@telling.com/"]
)
def test_refuses_a_url_that_leads_elsewhere(telling: Workplace, url: str) -> None:
    assert "--url" in telling.refusal("org", "webhook", "telling", "--url", url, code=78)


@pytest.mark.parametrize("options", [(), ("--rotate", "--remove", "--yes"), ("--url", URL, "--rotate")])
def test_does_one_thing_at_a_time(telling: Workplace, options: tuple[str, ...]) -> None:
    assert "give one of" in telling.refusal("org", "webhook", "telling", *options, code=78)
