"""How is a password said over the telephone, so that it is heard right? Symbol by symbol, a word for each.

A spelling is as secret as the password: whoever has it has the password. It shows itself only when taken
apart on purpose, never when printed.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from ca.passwords import Password
from directory.spelling_alphabets import ALPHABETS

USUAL_LANGUAGE = "en"
_HYPHEN = "-"


class LetterCase(StrEnum):
    """How the letters of a password are written; said once, before it is spelled."""

    CAPITALS = "capitals"
    SMALL = "small"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledSymbol:
    """One symbol as it is typed, and the word that is said for it."""

    symbol: str = field(repr=False)
    word: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A password taken apart into the groups in which it is written.

    The hyphen that joins a group to the next is the last symbol of the group: all symbols, one behind the
    other, are the password.
    """

    language: str
    letters: LetterCase
    groups: tuple[tuple[SpelledSymbol, ...], ...] = field(repr=False)


def spell(password: Password, language: str) -> Spelling:
    """Spell a password in a language, or in English where there is no alphabet of it.

    Five characters make a group; of a password of words, each word makes one. A symbol that no rule of
    `ca.passwords` draws is its own word: no password is withheld for want of one.
    """
    text = password.reveal()
    spoken = language if language in ALPHABETS else USUAL_LANGUAGE
    groups: list[tuple[SpelledSymbol, ...]] = []
    start = 0
    while start < len(text):
        joint = text.find(_HYPHEN, start)
        end = len(text) if joint < 0 else joint + 1
        groups.append(tuple(_spelled(symbol, spoken) for symbol in text[start:end]))
        start = end
    letters = LetterCase.SMALL if any(symbol.islower() for symbol in text) else LetterCase.CAPITALS
    return Spelling(language=spoken, letters=letters, groups=tuple(groups))


def read_aloud(spelling: Spelling) -> list[str]:
    """Return a line for each group: as it is typed, and as it is said."""
    return [
        f"{''.join(spelled.symbol for spelled in group)}: {', '.join(spelled.word for spelled in group)}"
        for group in spelling.groups
    ]


def _spelled(symbol: str, language: str) -> SpelledSymbol:
    alphabet = ALPHABETS[language]
    if symbol == _HYPHEN:
        return SpelledSymbol(symbol=symbol, word=alphabet.hyphen)
    word = alphabet.digits.get(symbol) or alphabet.letters.get(symbol.upper()) or symbol
    return SpelledSymbol(symbol=symbol, word=word)
