"""The statement: complete by the outline, and it says every fact."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from directory.cps.facts import facts_of
from directory.cps.writing import TO_BE_STATED, write
from directory.errors import ConfigurationRefused
from tests.builders import NOW
from tests.directory.cps.builders import a_busy_organization, a_practice
from tests.directory.cps.outline import OUTLINE

FACTS: Any = facts_of(a_practice(), NOW)

OTHER = {
    ("access", "anonymous_read"): "everyone",
    ("mail", "least"): "authenticated",
    ("ocsp", "nonce"): "answer",
}
"""What a choice becomes that the words tell from its alternatives only."""


def leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    match value:
        case dict():
            for key, below in value.items():
                yield from leaves(below, *path, key)
        case list():
            for place, below in enumerate(value):
                yield from leaves(below, *path, place)
        case _:
            yield path


def changed(path: tuple[Any, ...]) -> Any:
    facts = deepcopy(FACTS)
    place = facts
    for step in path[:-1]:
        place = place[step]
    match place[path[-1]]:
        case bool() as fact:
            place[path[-1]] = not fact
        case int() | float() as fact:
            place[path[-1]] = fact + 1
        case fact:
            place[path[-1]] = OTHER.get(path, f"{fact}x")
    return facts


def headings(text: str) -> list[str]:
    return re.findall(r"^#{2,4} (.*)$", text, re.MULTILINE)


def test_it_follows_the_outline_of_rfc_3647() -> None:
    assert headings(write(FACTS, {}).text) == OUTLINE


def test_each_heading_is_as_deep_as_its_number() -> None:
    marked = re.findall(r"^(#{2,4}) ([\d.]+) ", write(FACTS, {}).text, re.MULTILINE)

    assert all(len(marks) == number.count(".") + 2 for marks, number in marked)


def test_no_section_is_empty() -> None:
    lines = [line for line in write(FACTS, {}).text.splitlines() if line]
    bare = [
        one for one, following in pairwise((*lines, "#")) if one.startswith("#") and following.startswith("#")
    ]

    # Only one that has sections of its own goes without words.
    assert [one for one in bare if not any(other.startswith(f"{_number(one)}.") for other in OUTLINE)] == []


def _number(heading: str) -> str:
    return heading.lstrip("# ").split(" ")[0]


@pytest.mark.parametrize("path", list(leaves(FACTS)), ids=lambda path: ".".join(map(str, path)))
def test_every_fact_is_in_the_words(path: tuple[Any, ...]) -> None:
    assert write(changed(path), {}).text != write(FACTS, {}).text


def test_a_strict_hold_is_told() -> None:
    practice = a_practice()
    strict = replace(practice.delivering.delivery, hold=timedelta(0))
    facts = facts_of(replace(practice, delivering=replace(practice.delivering, delivery=strict)), NOW)

    assert "destroyed in the transaction that records that the key mail was accepted" in write(facts, {}).text


def test_what_an_organization_calls_itself_stays_one_cell() -> None:
    organization = replace(a_busy_organization(), name="A | B <script> \\")
    facts = facts_of(replace(a_practice(), organizations=[organization]), NOW)

    (row,) = [line for line in write(facts, {}).text.splitlines() if line.startswith("| A ")]

    assert row.startswith("| A \\| B &lt;script&gt; \\\\ (`hospital`) |")


def test_before_there_is_an_organization_it_says_so() -> None:
    text = write(facts_of(replace(a_practice(), organizations=[]), NOW), {}).text

    assert "| none yet |" in text


def test_the_operators_words_take_their_place() -> None:
    statement = write(FACTS, {"1.5.2": "Security desk, +49 30 1234567"})

    assert "#### 1.5.2 Contact person\n\nSecurity desk, +49 30 1234567\n" in statement.text
    assert "1.5.2" not in statement.to_be_stated


def test_what_is_still_to_be_stated_is_marked_and_listed() -> None:
    statement = write(FACTS, {})

    assert "1.5.2" in statement.to_be_stated
    assert statement.text.count(TO_BE_STATED) == len(statement.to_be_stated)


@pytest.mark.parametrize("section", ["4.9.7", "6.1.5", "10.1", "contact"])
def test_what_follows_from_the_configuration_cannot_be_stated_otherwise(section: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        write(FACTS, {section: "Every year."})

    assert section in refused.value.reason
