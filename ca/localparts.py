"""Which characters beyond ASCII may the local part of an address hold?

RFC 6531 section 3.3 would allow all of them. We accept what names are made of, by the rules for usernames
(PRECIS, the IdentifierClass of RFC 8264 section 4.2 as RFC 8265 section 3.4 uses it), and are stricter where
they leave a choice. Two addresses that look alike to the last pixel because of characters that nobody sees,
or that one mail server takes for the same and the next does not, must not both be somebody.

Nothing is mapped or repaired here: the octets that were asked about are the octets that are certified.
"""

import unicodedata
from itertools import pairwise

import idna
from idna import idnadata

_LETTERS = frozenset({"Ll", "Lu", "Lo", "Lm"})
_MARKS = frozenset({"Mn", "Mc"})
_DIGITS = frozenset({"Nd"})
_SOMETHING_TO_MARK = _LETTERS | _MARKS | _DIGITS


_NOT_KNOWN_YET = "Cn"


def is_readable(local_part: str) -> bool:
    """Whether every character beyond ASCII is a letter, a digit or a mark, or one that is not known yet.

    Where a newer version of Unicode found a text acceptable, an older one finds it readable.
    """
    kinds = {unicodedata.category(one) for one in local_part if not one.isascii()}
    return kinds <= _SOMETHING_TO_MARK | {_NOT_KNOWN_YET}


def is_acceptable(local_part: str) -> bool:
    """Whether every character beyond ASCII is a letter, a digit, or a mark on one; in one direction.

    No symbol, emoji, punctuation, space, control, invisible or unassigned character (RFC 8264 section 9),
    and no text that a screen would show in another order than it has (the Bidi Rule, RFC 5893 section 2).
    What is ASCII is not looked at.
    """
    return (
        all(_is_of_a_name(local_part, place) for place, one in enumerate(local_part) if not one.isascii())
        and _marks_something(local_part)
        and _has_one_direction(local_part)
    )


def is_normal(local_part: str) -> bool:
    """Whether it is the normal form of itself: composed, and without compatibility forms (NFKC)."""
    return unicodedata.is_normalized("NFKC", local_part)


def _is_of_a_name(text: str, place: int) -> bool:
    character = text[place]
    if unicodedata.category(character) not in _SOMETHING_TO_MARK:
        return False
    # RFC 5892 keeps capitals out of domain names. Of all other characters it says what RFC 8264 does: it
    # leaves out those that have no width, or none of their own, which their category alone does not tell.
    return all(map(_is_valid, character.lower())) or _is_valid_here(text, place)


def _is_valid(character: str) -> bool:
    return idna.intranges_contain(ord(character), idnadata.codepoint_classes["PVALID"])


def _is_valid_here(text: str, place: int) -> bool:
    """Whether the context allows it: digits of two Arabic scripts look alike (RFC 5892 appendix A.8, A.9)."""
    return unicodedata.category(text[place]) in _DIGITS and idna.valid_contexto(text, place)


def _marks_something(text: str) -> bool:
    return all(
        unicodedata.category(before) in _SOMETHING_TO_MARK
        for before, one in pairwise(f" {text}")
        if unicodedata.category(one) in _MARKS
    )


def _has_one_direction(text: str) -> bool:
    try:
        return idna.check_bidi(text)
    except idna.IDNAError:
        return False
