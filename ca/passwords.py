"""Which password protects a key package, and how strong is it?

The password is spoken over the phone and typed by hand, so it avoids what is misheard or misread. It is also
all the protection the key package has: whoever holds the mail can guess offline for as long as he likes, and
the iteration counts of PKCS#12 hardly slow him down. So its strength is counted exactly, and a rule below 112
bits (CA/Browser Forum S/MIME Baseline Requirements section 6.1.2) cannot be made.

Nothing here knows who gets the password, or by which way.
"""

import hmac
import math
import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NoReturn, Self

from ca.errors import PasswordRuleRefused

REQUIRED_BITS = 112.0

# Crockford's base32: no I, L, O (read as 1, 1, 0) and no U.
CROCKFORD_ALPHABET = tuple("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
_GROUP = 5
_JOINT = "-"


class PasswordStyle(StrEnum):
    """What a password is made of."""

    CHARACTERS = "characters"
    WORDS = "words"


_USUAL_UNITS = {PasswordStyle.CHARACTERS: 25, PasswordStyle.WORDS: 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRule:
    """How passwords are made: so many independent, uniformly drawn characters or words.

    `units` counts characters, or words. 25 characters (125 bits) are shown in five groups of five.

    Raises:
        PasswordRuleRefused: the rule yields less than 112 bits.
    """

    style: PasswordStyle
    units: int

    def __post_init__(self) -> None:
        if self.entropy_bits < REQUIRED_BITS:
            raise PasswordRuleRefused(bits=self.entropy_bits, required_bits=REQUIRED_BITS)

    @classmethod
    def usual(cls, style: PasswordStyle) -> Self:
        """Return the rule to use where nobody asked for another one: 25 characters, or 9 words."""
        return cls(style=style, units=_USUAL_UNITS[style])

    @property
    def entropy_bits(self) -> float:
        """The binary logarithm of the number of passwords the rule chooses from."""
        return self.units * math.log2(len(_choices(self.style)))


class Password:
    """The password of one key package; shows itself only when told to `reveal()`.

    The hyphens are part of it: it is typed exactly as shown. Two passwords are compared in constant time.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """Hand out the text: to the key package, to the seal, or to a registration agent."""
        return self.__text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Password):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    def __hash__(self) -> NoReturn:
        """Refuse: the hash of a secret would be stored and compared where the secret must not be."""
        raise TypeError("a password is not hashable")

    def __repr__(self) -> str:
        return "Password(hidden)"

    __str__ = __repr__


def generate(rule: PasswordRule) -> Password:
    """Draw a password from the operating system's random source; every one the rule allows is as likely."""
    choices = _choices(rule.style)
    # One uniform number below N**units is units independent uniform digits in base N.
    number = secrets.randbelow(len(choices) ** rule.units)
    drawn: list[str] = []
    for _ in range(rule.units):
        number, digit = divmod(number, len(choices))
        drawn.append(choices[digit])
    return Password(_JOINT.join(drawn if rule.style is PasswordStyle.WORDS else _grouped(drawn)))


def _grouped(characters: list[str]) -> list[str]:
    return ["".join(characters[start : start + _GROUP]) for start in range(0, len(characters), _GROUP)]


def _choices(style: PasswordStyle) -> tuple[str, ...]:
    return CROCKFORD_ALPHABET if style is PasswordStyle.CHARACTERS else _words()


@cache
def _words() -> tuple[str, ...]:
    """Return the EFF large word list without its four hyphenated words, which would blur the joints.

    Read once, as data of a package that ships it. Duplicates are removed, so that the entropy follows from
    what is really there.
    """
    listed = (files("xkcdpass") / "static" / "eff-long").read_text(encoding="ascii").split()
    return tuple(sorted({word for word in listed if _JOINT not in word}))
