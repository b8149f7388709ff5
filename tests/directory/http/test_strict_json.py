import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.http.strict_json import load_json

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_whatever_is_json_is_read(value: object) -> None:
    assert load_json(json.dumps(value, ensure_ascii=True).encode()) == value


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b'{"email": "a"} {}',
        b'{"email": "a", "email": "b"}',
        b'{"outer": {"x": 1, "x": 1}}',
        b'{"email": NaN}',
        b'{"email": Infinity}',
        b"\xef\xbb\xbf{}",
        b'{"email": "\xff"}',
        '{"email": "a"}'.encode("utf-16"),
        b"[" * 60_000,
        b"1" * 60_000,
        b"{'email': 'a'}",
        b'{"email": "a",}',
        b'{"note": "\\ud800"}',
        b'{"\\udc00": 1}',
    ],
)
def test_what_readers_disagree_about_is_refused(octets: bytes) -> None:
    with pytest.raises(json.JSONDecodeError) as raised:
        load_json(octets)

    assert raised.value.doc == ""
    assert raised.value.__cause__ is None


@given(st.binary(max_size=60))
def test_any_octets_are_a_value_or_one_refusal(octets: bytes) -> None:
    read = []
    with suppress(json.JSONDecodeError):
        read.append(load_json(octets))

    assert read in ([], [json.loads(octets.decode())] if read else [])
