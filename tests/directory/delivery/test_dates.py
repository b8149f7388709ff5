from datetime import date

import pytest
from jinja2 import Environment

from directory.delivery.dates import day_filter, day_in_words


@pytest.mark.parametrize(
    ("day", "language", "written"),
    [
        (date(2026, 11, 29), "en", "29 November 2026"),
        (date(2026, 11, 29), "en-gb", "29 November 2026"),
        (date(2027, 3, 1), "de", "1. März 2027"),
        (date(2027, 8, 1), "fr", "1er août 2027"),
        (date(2027, 8, 2), "fr", "2 août 2027"),
        (date(2027, 1, 9), "es", "9 de enero de 2027"),
        (date(2027, 1, 9), "it", "2027-01-09"),
    ],
)
def test_a_day_is_written_as_people_write_it(day: date, language: str, written: str) -> None:
    assert day_in_words(day, language) == written


@pytest.mark.parametrize("language", ["de", "en", "es", "fr"])
def test_every_month_has_a_name_of_its_own(language: str) -> None:
    assert len({day_in_words(date(2027, month, 5), language) for month in range(1, 13)}) == 12


def test_templates_write_days_in_their_language() -> None:
    environment = Environment(autoescape=True)
    environment.filters["day"] = day_filter
    template = environment.from_string("{{ due|day }}")
    assert template.render(due="2026-12-24", language="fr") == "24 décembre 2026"
    with pytest.raises(ValueError, match="someday"):
        template.render(due="someday", language="fr")
