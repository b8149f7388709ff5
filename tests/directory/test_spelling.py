"""A password read aloud: every symbol has its word, and the symbols are the password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.passwords import CROCKFORD_ALPHABET, Password, PasswordRule, PasswordStyle, generate
from directory.spelling import LetterCase, Spelling, read_aloud, spell
from directory.spelling_alphabets import ALPHABETS

CHARACTERS = Password("7K3QX-9M2TD-VB4NR-0HWZ8-5CEGJ")
WORDS = Password("abacus-quiz-yoyo")


def said(spelling: Spelling) -> list[str]:
    return [" ".join(spelled.word for spelled in group) for group in spelling.groups]


def typed(spelling: Spelling) -> str:
    return "".join(spelled.symbol for group in spelling.groups for spelled in group)


def test_a_password_of_characters_keeps_its_groups_of_five() -> None:
    spelling = spell(CHARACTERS, "en")

    assert said(spelling)[:2] == [
        "seven Kilo three Quebec X-ray hyphen",
        "nine Mike two Tango Delta hyphen",
    ]
    assert said(spelling)[-1] == "five Charlie Echo Golf Juliett"
    assert spelling.letters is LetterCase.CAPITALS


def test_a_password_of_words_is_spelled_word_by_word() -> None:
    spelling = spell(WORDS, "en")

    assert said(spelling) == [
        "Alfa Bravo Alfa Charlie Uniform Sierra hyphen",
        "Quebec Uniform India Zulu hyphen",
        "Yankee Oscar Yankee Oscar",
    ]
    assert spelling.letters is LetterCase.SMALL


@pytest.mark.parametrize(
    ("language", "first_group"),
    [
        ("de", "sieben Köln drei Quickborn Xanten Bindestrich"),
        ("fr", "sept Kléber trois Quintal Xavier tiret"),
        ("es", "siete Kilo tres Querido Xilófono guion"),
    ],
)
def test_each_language_has_its_own_words(language: str, first_group: str) -> None:
    spelling = spell(CHARACTERS, language)

    assert said(spelling)[0] == first_group
    assert spelling.language == language


def test_a_language_without_alphabet_is_spelled_in_english() -> None:
    assert spell(CHARACTERS, "fi") == spell(CHARACTERS, "en")


@pytest.mark.parametrize("language", ALPHABETS)
def test_every_word_begins_with_its_letter_and_is_used_once(language: str) -> None:
    alphabet = ALPHABETS[language]

    assert len(alphabet.letters) == 26
    assert all(word.startswith(letter) for letter, word in alphabet.letters.items())
    words = [*alphabet.letters.values(), *alphabet.digits.values(), alphabet.hyphen]
    assert len(set(words)) == 37


@pytest.mark.parametrize("language", ALPHABETS)
@pytest.mark.parametrize("style", PasswordStyle)
def test_whatever_is_drawn_can_be_spelled(style: PasswordStyle, language: str) -> None:
    password = generate(PasswordRule.usual(style))

    assert typed(spell(password, language)) == password.reveal()


@given(
    st.lists(st.text(CROCKFORD_ALPHABET, min_size=1, max_size=7), min_size=1, max_size=6).map("-".join),
    st.sampled_from(sorted(ALPHABETS)),
)
def test_the_symbols_are_the_password(text: str, language: str) -> None:
    assert typed(spell(Password(text), language)) == text


def test_a_line_has_the_group_and_its_words() -> None:
    assert read_aloud(spell(WORDS, "de"))[1] == "quiz-: Quickborn, Unna, Ingelheim, Zwickau, Bindestrich"


def test_a_spelling_does_not_show_itself() -> None:
    spelling = spell(CHARACTERS, "en")

    shown = repr(spelling) + repr(spelling.groups[0][0]) + str(spelling)
    assert "Kilo" not in shown
    assert "7" not in shown


def test_what_has_no_word_is_its_own() -> None:
    assert said(spell(Password("A§-ß"), "de")) == ["Aachen § Bindestrich", "ß"]
