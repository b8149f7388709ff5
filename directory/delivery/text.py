"""How does foreign text become harmless: one line, no control characters, no invisible ones, not too long?

For whatever was written by people or machines outside and is shown, logged or put into a header.
"""

import unicodedata


def one_line(text: str, *, longest: int) -> str:
    """Return the text on one line of at most `longest` characters.

    Line ends, tabs and other control characters become blanks. Invisible format characters, among them those
    that reverse the direction of reading, and what is not a character at all, disappear.
    """
    # Cut first: nobody's ten megabytes are worth looking at. A cut may halve what would have disappeared.
    visible = "".join(_shown(character) for character in text[: 4 * longest])
    return " ".join(visible.split())[:longest].rstrip()


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    # Cf, Cs, Co, Cn: format, surrogate, private use, unassigned. The rest is Cc and the separators.
    return " " if unicodedata.category(character) in {"Cc", "Zs", "Zl", "Zp"} else ""
