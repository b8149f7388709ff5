"""Passwords are strong as counted, uniform as claimed, and silent unless revealed."""

import hashlib
import math
import random
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.resources import files
from itertools import chain, product

import pytest

from ca.errors import PasswordRuleRefused
from ca.passwords import CROCKFORD_ALPHABET, Password, PasswordRule, PasswordStyle, _words, generate

CHARACTERS = PasswordRule.usual(PasswordStyle.CHARACTERS)
WORDS = PasswordRule.usual(PasswordStyle.WORDS)
SAMPLES = 100_000

Draw = Callable[[], Sequence[str]]


def draw_characters() -> Sequence[str]:
    return generate(CHARACTERS).reveal().replace("-", "")


def draw_words() -> Sequence[str]:
    return generate(WORDS).reveal().split("-")


def assert_uniform(units: Sequence[str], choices: Sequence[str]) -> None:
    """Pearson's chi-square test; a fair generator fails it once in 10^9 runs."""
    counts = Counter(units)
    assert set(counts) <= set(choices)
    expected = len(units) / len(choices)
    chi_square = sum((counts[choice] - expected) ** 2 / expected for choice in choices)
    freedom = len(choices) - 1
    # Wilson and Hilferty's approximation of the quantile six standard deviations out.
    limit = freedom * (1 - 2 / (9 * freedom) + 6 * math.sqrt(2 / (9 * freedom))) ** 3
    assert chi_square < limit


def assert_good_generator(draw: Draw, choices: Sequence[str], samples: int = SAMPLES) -> None:
    """No password twice; the units uniform over all, and in the first and in the last place."""
    drawn = [draw() for _ in range(samples)]
    assert len({tuple(units) for units in drawn}) == samples
    assert_uniform(list(chain.from_iterable(drawn)), choices)
    assert_uniform([units[0] for units in drawn], choices)
    assert_uniform([units[-1] for units in drawn], choices)


def test_characters_are_uniform_and_passwords_never_repeat() -> None:
    assert_good_generator(draw_characters, CROCKFORD_ALPHABET)


def test_words_are_uniform_and_passwords_never_repeat() -> None:
    assert_good_generator(draw_words, _words(), samples=50_000)


def test_the_check_finds_a_generator_that_prefers_some_characters() -> None:
    def draw() -> Sequence[str]:
        return [CROCKFORD_ALPHABET[byte % 31] for byte in secrets.token_bytes(25)]

    with pytest.raises(AssertionError):
        assert_good_generator(draw, CROCKFORD_ALPHABET, samples=10_000)


def test_the_check_finds_a_generator_whose_first_place_is_narrow() -> None:
    def draw() -> Sequence[str]:
        return [
            secrets.choice(CROCKFORD_ALPHABET[:16]),
            *(secrets.choice(CROCKFORD_ALPHABET) for _ in range(24)),
        ]

    with pytest.raises(AssertionError):
        assert_good_generator(draw, CROCKFORD_ALPHABET, samples=10_000)


def test_the_check_finds_a_generator_that_is_seeded() -> None:
    def draw() -> Sequence[str]:
        # A counter, a clock or a process id: 2^16 seeds, however good the algorithm behind them.
        seeded = random.Random(secrets.randbelow(2**16))  # noqa: S311  # the weak generator is the subject
        return seeded.choices(CROCKFORD_ALPHABET, k=25)

    with pytest.raises(AssertionError):
        assert_good_generator(draw, CROCKFORD_ALPHABET, samples=10_000)


def test_the_usual_password_is_five_groups_of_five() -> None:
    groups = generate(CHARACTERS).reveal().split("-")
    assert [len(group) for group in groups] == [5, 5, 5, 5, 5]
    assert set("".join(groups)) <= set(CROCKFORD_ALPHABET)
    assert CHARACTERS.entropy_bits == 125.0


def test_the_usual_password_of_words_is_nine_words() -> None:
    words = generate(WORDS).reveal().split("-")
    assert len(words) == 9
    assert set(words) <= set(_words())
    assert 116 < WORDS.entropy_bits < 117


def test_avoids_the_characters_that_are_mistaken_for_others() -> None:
    assert len(set(CROCKFORD_ALPHABET)) == 32
    assert not set(CROCKFORD_ALPHABET) & set("ILOU-")


def test_the_words_are_those_the_eff_published() -> None:
    listed = (files("xkcdpass") / "static" / "eff-long").read_text().split()
    # As published: five dice, a tab, the word (https://www.eff.org/files/2016/07/18/eff_large_wordlist.txt).
    dice = ("".join(throw) for throw in product("123456", repeat=5))
    published = "".join(f"{throw}\t{word}\n" for throw, word in zip(dice, listed, strict=True))
    digest = hashlib.sha256(published.encode()).hexdigest()
    assert digest == "addd35536511597a02fa0a9ff1e5284677b8883b83e986e43f15a3db996b903e"
    assert set(listed) - set(_words()) == {"drop-down", "felt-tip", "t-shirt", "yo-yo"}
    assert len(_words()) == 7776 - 4
    assert all(word.isascii() and word.isalpha() and word.islower() for word in _words())


@pytest.mark.parametrize(("style", "units"), [(PasswordStyle.CHARACTERS, 23), (PasswordStyle.WORDS, 9)])
def test_the_shortest_allowed_rule_reaches_112_bits(style: PasswordStyle, units: int) -> None:
    assert PasswordRule(style=style, units=units).entropy_bits >= 112
    with pytest.raises(PasswordRuleRefused) as refused:
        PasswordRule(style=style, units=units - 1)
    assert refused.value.bits < 112
    assert refused.value.required_bits == 112


@pytest.mark.parametrize("units", [0, -1])
def test_refuses_a_rule_without_units(units: int) -> None:
    with pytest.raises(PasswordRuleRefused):
        PasswordRule(style=PasswordStyle.CHARACTERS, units=units)


def test_the_last_group_takes_what_is_left() -> None:
    text = generate(PasswordRule(style=PasswordStyle.CHARACTERS, units=28)).reveal()
    assert [len(group) for group in text.split("-")] == [5, 5, 5, 5, 5, 3]


def test_shows_itself_only_when_revealed() -> None:
    password = generate(CHARACTERS)
    shown = [repr(password), str(password), f"{password}", f"{password!r:>80}", f"{[password]}"]
    assert all(password.reveal() not in text for text in shown)
    assert not hasattr(password, "__dict__")


def test_equal_passwords_are_those_with_the_same_text() -> None:
    assert Password("ABCDE-FGHJK") == Password("ABCDE-FGHJK")
    assert Password("ABCDE-FGHJK") != Password("ABCDEFGHJK")
    assert Password("ABCDE") != "ABCDE"


def test_cannot_be_hashed() -> None:
    with pytest.raises(TypeError):
        hash(Password("ABCDE"))
