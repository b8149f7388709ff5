import pytest

from bench.figures import Bound, Result, Target, percentile


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_percentile_is_a_measured_value(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("bound", "measured", "met"),
    [
        (Bound.AT_MOST, 15.0, True),
        (Bound.AT_MOST, 15.1, False),
        (Bound.AT_LEAST, 15.0, True),
        (Bound.AT_LEAST, 14.9, False),
    ],
)
def test_a_target_is_met_on_its_own_side(*, bound: Bound, measured: float, met: bool) -> None:
    assert Target(name="p50 ms", measured=measured, bound=bound, wanted=15.0).is_met is met


def test_a_result_is_a_markdown_table_and_says_which_targets_were_missed() -> None:
    result = Result(
        title="Lookup",
        rows=[{"way": "LDAP", "mints": 1200, "p50 ms": 12.345}, {"way": "HTTP", "mints": 8, "p50 ms": 0.5}],
        targets=[Target(name="p50 ms", measured=12.345, bound=Bound.AT_MOST, wanted=10)],
    )

    assert result.as_text().splitlines() == [
        "### Lookup",
        "",
        "| way  | mints | p50 ms |",
        "|------|------:|-------:|",
        "| LDAP | 1,200 |   12.3 |",
        "| HTTP |     8 |  0.500 |",
        "",
        "* p50 ms: 12.3, wanted at most 10: missed",
    ]
