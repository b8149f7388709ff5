from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.errors import SharesRefused
from ca.shares import Share, join, split

SECRET = bytes(range(32))


@pytest.mark.parametrize(("threshold", "shares"), [(2, 2), (2, 3), (3, 5), (16, 16)])
def test_any_so_many_shares_make_the_secret(threshold: int, shares: int) -> None:
    made = split(SECRET, threshold=threshold, shares=shares)

    assert len(made) == shares
    for some in list(combinations(made, threshold))[:10]:
        assert join(some) == SECRET


def test_one_share_less_makes_nothing() -> None:
    made = split(SECRET, threshold=3, shares=5)
    for some in combinations(made, 2):
        with pytest.raises(SharesRefused, match="not enough"):
            join(some)


def test_more_than_are_needed_and_one_twice_are_welcome() -> None:
    made = split(SECRET, threshold=2, shares=4)
    assert join(made) == SECRET
    assert join((made[0], made[0], made[3])) == SECRET


def test_the_same_share_twice_is_one_share() -> None:
    first, _ = split(SECRET, threshold=2, shares=2)
    with pytest.raises(SharesRefused):
        join((first, first))


def test_shares_of_two_secrets_do_not_fit_together() -> None:
    (one, *_), (_, other) = (split(SECRET, threshold=2, shares=2) for _ in range(2))
    with pytest.raises(SharesRefused):
        join((one, other))


def test_it_does_not_matter_how_a_share_is_written_down() -> None:
    first, second = split(SECRET, threshold=2, shares=2)
    typed = Share("\n  ".join(first.reveal().upper().split()) + "\n")
    assert join((typed, second)) == SECRET


def test_a_misspelt_word_is_found_and_not_repeated() -> None:
    first, second = split(SECRET, threshold=2, shares=2)
    words = second.reveal().split()
    wrong = Share(" ".join([*words[:10], "academic" if words[10] != "academic" else "acid", *words[11:]]))
    with pytest.raises(SharesRefused) as refused:
        join((first, wrong))
    assert not any(word in str(refused.value).split() for word in words)


@pytest.mark.parametrize("text", ["", "academic", "nonsense words", "academic " * 33, "x" * 5000])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(SharesRefused):
        join((Share(text), Share(text + " acid")))


def test_nothing_makes_nothing() -> None:
    with pytest.raises(SharesRefused, match="no share"):
        join(())


@settings(max_examples=30)
@given(st.text(max_size=200))
def test_any_text_is_a_share_or_refused(text: str) -> None:
    with pytest.raises(SharesRefused):
        join((Share(text),))


@pytest.mark.parametrize(("threshold", "shares"), [(1, 1), (1, 3), (0, 2), (3, 2), (2, 17), (-1, 5)])
def test_refuses_numbers_that_protect_nothing(threshold: int, shares: int) -> None:
    with pytest.raises(SharesRefused, match="are needed"):
        split(SECRET, threshold=threshold, shares=shares)


@pytest.mark.parametrize("octets", [0, 16, 31, 33])
def test_a_secret_has_32_octets(octets: int) -> None:
    with pytest.raises(ValueError, match="32"):
        split(bytes(octets), threshold=2, shares=2)


def test_a_share_does_not_show_itself() -> None:
    share, _ = split(SECRET, threshold=2, shares=2)
    assert str(share) == repr(share) == "Share(hidden)"
    with pytest.raises(TypeError):
        hash(share)
