"""Any octets, cut in any way: only answers or a clean end, and never an exception."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.directory.ldap.harness import HEADER, withstand
from tests.directory.ldap.memory import BIND_NAME, TOKEN
from tests.directory.ldap.seeds import SEEDS, write_seeds
from tests.directory.ldap.wire import bind

headers = st.binary(min_size=HEADER, max_size=HEADER)


@given(headers, st.binary(max_size=400))
def test_arbitrary_octets_are_withstood(header: bytes, octets: bytes) -> None:
    withstand(header + octets)


@given(headers, st.lists(st.sampled_from(SEEDS), max_size=8))
def test_any_sequence_of_requests_is_withstood(header: bytes, pdus: list[bytes]) -> None:
    withstand(header + b"".join(pdus))


@given(
    headers,
    st.lists(st.sampled_from(SEEDS), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
    st.integers(min_value=1, max_value=8),
)
def test_damaged_requests_are_withstood(
    header: bytes, pdus: list[bytes], chance: random.Random, damages: int
) -> None:
    octets = bytearray(b"".join(pdus))
    for _ in range(damages):
        place = chance.randrange(len(octets))
        octets[place] = chance.choice([0, 1, 0x7F, 0x80, 0x84, 0xFF, chance.randrange(256)])
    withstand(header + bytes(octets))


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_a_request_is_withstood_wherever_it_is_cut_off(seed: bytes) -> None:
    for length in range(len(seed)):
        withstand(bytes(HEADER) + seed[:length])


def test_a_request_is_withstood_at_every_size_of_segment() -> None:
    conversation = bind(BIND_NAME, TOKEN) + b"".join(SEEDS)
    for cut in range(1, 256):
        withstand(bytes((0b1000, cut)) + conversation)


def test_the_fuzzer_begins_with_every_seed(tmp_path: Path) -> None:
    write_seeds(tmp_path)

    assert {file.read_bytes()[HEADER:] for file in tmp_path.iterdir()} == set(SEEDS)
