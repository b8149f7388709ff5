"""How is a day written in a mail? As people of the language write it; elsewhere as ISO 8601 does."""

from datetime import date

from jinja2 import pass_context
from jinja2.runtime import Context

_MONTHS = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "en": "January February March April May June July August September October November December",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_FORMS = {
    "de": "{day}. {month} {year}",
    "en": "{day} {month} {year}",
    "es": "{day} de {month} de {year}",
    "fr": "{day} {month} {year}",
}


def day_in_words(day: date, language: str) -> str:
    """Write a day: `29 November 2026`, `29. November 2026`, `29 de noviembre de 2026`."""
    language = language.partition("-")[0]
    if language not in _FORMS:
        return day.isoformat()
    month = _MONTHS[language].split()[day.month - 1]
    number = "1er" if language == "fr" and day.day == 1 else str(day.day)
    return _FORMS[language].format(day=number, month=month, year=day.year)


@pass_context
def day_filter(context: Context, text: str) -> str:
    """Write an ISO 8601 day in the language of the template: `{{ install_until|day }}`.

    Raises:
        ValueError: it is no day.
    """
    return day_in_words(date.fromisoformat(text), str(context["language"]))
