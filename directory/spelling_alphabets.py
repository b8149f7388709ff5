"""Which word stands for which letter when it is read aloud? One spelling alphabet per language, as data.

English: ICAO Annex 10 volume II section 5.2.1.3. German: DIN 5009:2022, the table for business and
administration (names of towns). French and Spanish: the national ones in everyday use, mostly first names
and towns; they are standardized nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase

_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpellingAlphabet:
    """The words of one language, for the letters A to Z, the digits and the hyphen."""

    letters: Mapping[str, str]
    digits: Mapping[str, str]
    hyphen: str


def _alphabet(letters: str, digits: str, hyphen: str) -> SpellingAlphabet:
    return SpellingAlphabet(
        letters=dict(zip(ascii_uppercase, letters.split(), strict=True)),
        digits=dict(zip(_DIGITS, digits.split(), strict=True)),
        hyphen=hyphen,
    )


ALPHABETS: Mapping[str, SpellingAlphabet] = {
    "en": _alphabet(
        "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar Papa "
        "Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu",
        "zero one two three four five six seven eight nine",
        "hyphen",
    ),
    "de": _alphabet(
        "Aachen Berlin Chemnitz Düsseldorf Essen Frankfurt Goslar Hamburg Ingelheim Jena Köln Leipzig "
        "München Nürnberg Offenbach Potsdam Quickborn Rostock Salzwedel Tübingen Unna Völklingen Wuppertal "
        "Xanten Ypsilon Zwickau",
        "null eins zwei drei vier fünf sechs sieben acht neun",
        "Bindestrich",
    ),
    "fr": _alphabet(
        "Anatole Berthe Célestin Désiré Eugène François Gaston Henri Irma Joseph Kléber Louis Marcel "
        "Nicolas Oscar Pierre Quintal Raoul Suzanne Thérèse Ursule Victor William Xavier Yvonne Zoé",
        "zéro un deux trois quatre cinq six sept huit neuf",
        "tiret",
    ),
    "es": _alphabet(
        "Antonio Barcelona Carmen Dolores Enrique Francia Granada Historia Inés José Kilo Lorenzo Madrid "
        "Navarra Oviedo París Querido Ramón Sábado Toledo Ulises Valencia Washington Xilófono Yolanda "
        "Zaragoza",
        "cero uno dos tres cuatro cinco seis siete ocho nueve",
        "guion",
    ),
}
"""By language, as RFC 5646 tags it."""
