"""How are languages named? By ISO 639 codes in lower case; templates decide which of them mails speak."""

import re

LANGUAGE_PATTERN = r"[a-z]{2,3}"

_LANGUAGE = re.compile(LANGUAGE_PATTERN)


def is_language(text: str) -> bool:
    """Tell whether the text may name a language."""
    return _LANGUAGE.fullmatch(text) is not None
