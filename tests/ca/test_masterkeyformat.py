"""The document gives back the keys that were put in, or refuses; and no refusal shows a key."""

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.errors import MasterKeyUnusable
from ca.masterkeyformat import DatedKey, KeyList, PassphraseCost, read, write
from ca.sealing import MasterKey

PATH = Path("master.key")
PASSPHRASE = b"correct horse battery staple"
CREATED = datetime(2026, 3, 1, 12, tzinfo=UTC)

Document = dict[str, Any]


def key_list(count: int = 3) -> KeyList:
    dated = tuple(DatedKey.generate(CREATED + timedelta(days=day)) for day in range(count))
    return KeyList(dated=dated, active_id=dated[-1].key.key_id)


KEYS = key_list()
IN_CLEAR = write(KEYS, None)


@pytest.fixture(scope="module")
def protected() -> bytes:
    return write(KEYS, PASSPHRASE)


def refusal_of(text: bytes, passphrase: bytes | None = None) -> str:
    with pytest.raises(MasterKeyUnusable) as unusable:
        read(text, passphrase, PATH)
    assert unusable.value.path == PATH
    return unusable.value.reason


def altered(text: bytes, alter: Callable[[Document], object]) -> bytes:
    document: Document = copy.deepcopy(json.loads(text))
    alter(document)
    return json.dumps(document).encode()


@given(st.integers(min_value=1, max_value=5))
def test_reads_what_it_wrote(count: int) -> None:
    keys = key_list(count)
    assert read(write(keys, None), None, PATH) == keys


def test_reads_what_it_wrote_under_a_passphrase(protected: bytes) -> None:
    assert read(protected, PASSPHRASE, PATH) == KEYS


def test_says_what_it_is_to_a_human() -> None:
    document = json.loads(IN_CLEAR)
    assert document["format"] == "pushpki master key file"
    assert document["version"] == 1
    assert document["active"] == KEYS.active_id
    assert [entry["id"] for entry in document["keys"]] == list(KEYS.ids)
    assert document["keys"][0]["created"] == "2026-03-01T12:00:00+00:00"


def test_shows_no_key_under_a_passphrase(protected: bytes) -> None:
    for dated in KEYS.dated:
        assert base64.b64encode(dated.key.material) not in protected
    assert PASSPHRASE not in protected


def test_draws_a_fresh_salt_and_fresh_nonces_each_time(protected: bytes) -> None:
    one, other = json.loads(protected), json.loads(write(KEYS, PASSPHRASE))
    assert one["passphrase"]["salt"] != other["passphrase"]["salt"]
    nonces = {base64.b64decode(entry["material"])[:12] for entry in one["keys"] + other["keys"]}
    assert len(nonces) == 6


def test_writes_the_second_recommended_cost_of_rfc_9106(protected: bytes) -> None:
    cost = json.loads(protected)["passphrase"]
    assert (cost["kdf"], cost["memory_kib"], cost["iterations"], cost["lanes"]) == ("argon2id", 65536, 3, 4)


def test_keeps_the_moment_a_key_was_made_whatever_the_time_zone() -> None:
    there = CREATED.astimezone(timezone(timedelta(hours=5, minutes=30)))
    key = DatedKey.generate(there)
    keys = KeyList(dated=(key,), active_id=key.key.key_id)
    assert read(write(keys, None), None, PATH).dated[0].created == CREATED


def test_tells_the_active_key_from_the_retired_ones() -> None:
    keyring = KEYS.keyring
    assert keyring.active == KEYS.dated[2].key
    assert keyring.retired == (KEYS.dated[0].key, KEYS.dated[1].key)


def test_refuses_a_wrong_passphrase(protected: bytes) -> None:
    assert "passphrase is wrong" in refusal_of(protected, b"correct horse battery stable")


def test_refuses_to_do_without_the_passphrase(protected: bytes) -> None:
    assert refusal_of(protected, None) == "needs a passphrase"


def test_refuses_a_passphrase_that_protects_nothing() -> None:
    assert refusal_of(IN_CLEAR, PASSPHRASE) == "needs no passphrase, but one was given"


def swap_material(document: Document) -> None:
    first, second = document["keys"][:2]
    first["material"], second["material"] = second["material"], first["material"]


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda d: d.update(active=d["keys"][0]["id"]), id="a retired key made active again"),
        pytest.param(lambda d: d["keys"].pop(0), id="a key dropped"),
        pytest.param(lambda d: d["keys"].reverse(), id="the order changed"),
        pytest.param(lambda d: d["keys"][1].update(created="2020-01-01T00:00:00+00:00"), id="a date changed"),
        pytest.param(lambda d: d["keys"][1].update(id="0123456789abcdef"), id="a key renamed"),
        pytest.param(lambda d: d["passphrase"].update(iterations=2), id="the cost lowered"),
        pytest.param(swap_material, id="two keys swapped"),
    ],
)
def test_finds_out_what_was_altered_under_a_passphrase(
    protected: bytes, alter: Callable[[Document], object]
) -> None:
    assert "the file was altered" in refusal_of(altered(protected, alter), PASSPHRASE)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("memory_kib", 8191),
        ("memory_kib", 1048577),
        ("memory_kib", 2**62),
        ("iterations", 0),
        ("iterations", 11),
        ("lanes", 0),
        ("lanes", 17),
        ("salt", "c2hvcnQ="),
        ("salt", "A" * 88),
    ],
)
def test_bounds_the_cost_before_it_is_spent(protected: bytes, member: str, value: object) -> None:
    forged = altered(protected, lambda document: document["passphrase"].update({member: value}))
    assert refusal_of(forged, PASSPHRASE) == f"is malformed: {member} is out of bounds"


def test_refuses_a_cost_out_of_bounds_however_it_is_made() -> None:
    with pytest.raises(ValueError, match="memory_kib is out of bounds"):
        PassphraseCost(salt=bytes(16), memory_kib=2**21)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * 100,
        b"[]",
        b'"pushpki master key file"',
        b"-----BEGIN PRIVATE KEY-----",
        b"\xff",
        b"[" * 60000,
    ],
    ids=["empty", "NULs", "array", "string", "PEM", "no UTF-8", "deep nesting"],
)
def test_refuses_what_is_no_master_key_file(text: bytes) -> None:
    assert refusal_of(text) == "is not a master key file"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_refuses_another_version(version: object) -> None:
    text = altered(IN_CLEAR, lambda document: document.update(version=version))
    assert refusal_of(text) == "is of a version this program does not know"


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda d: d.update(comment="hello"), id="unknown member"),
        pytest.param(lambda d: d.pop("active"), id="no active key named"),
        pytest.param(lambda d: d.update(active="0123456789abcdef"), id="active key not there"),
        pytest.param(lambda d: d.update(active=1), id="active key a number"),
        pytest.param(lambda d: d.update(keys=[]), id="no keys"),
        pytest.param(lambda d: d.update(keys={}), id="keys no list"),
        pytest.param(lambda d: d.update(keys=["x"]), id="key no object"),
        pytest.param(lambda d: d["keys"].append(d["keys"][0]), id="key twice"),
        pytest.param(lambda d: d["keys"][0].update(id="../../etc"), id="name no hexadecimal number"),
        pytest.param(lambda d: d["keys"][0].update(id=d["keys"][0]["id"] + "\n"), id="name with a line end"),
        pytest.param(lambda d: d["keys"][0].update(created="2026-01-01T00:00:00"), id="date without zone"),
        pytest.param(lambda d: d["keys"][0].update(created="yesterday"), id="no date"),
        pytest.param(lambda d: d["keys"][0].update(created=0), id="date a number"),
        pytest.param(lambda d: d["keys"][0].update(material="AAAA"), id="short key"),
        pytest.param(lambda d: d["keys"][0].update(material="A" * 44), id="long key"),
        pytest.param(lambda d: d["keys"][0].update(material="!" * 44), id="key no base64"),
        pytest.param(lambda d: d["keys"][0].update(material="é"), id="key not ASCII"),
        pytest.param(
            lambda d: d["keys"][0].update(material=f"!{d['keys'][0]['material']}"), id="key and junk"
        ),
        pytest.param(lambda d: d.update(passphrase={}), id="passphrase without cost"),
        pytest.param(lambda d: d.update(passphrase=False), id="passphrase a truth value"),
    ],
)
def test_refuses_a_malformed_document(alter: Callable[[Document], object]) -> None:
    assert refusal_of(altered(IN_CLEAR, alter)).startswith("is malformed: ")


@pytest.mark.parametrize(
    ("member", "value"),
    [("kdf", "scrypt"), ("lanes", True), ("iterations", 3.0), ("memory_kib", "65536"), ("salt", 1)],
)
def test_refuses_another_key_derivation_and_a_cost_of_another_type(
    protected: bytes, member: str, value: object
) -> None:
    forged = altered(protected, lambda document: document["passphrase"].update({member: value}))
    assert refusal_of(forged, PASSPHRASE).startswith("is malformed: ")


@pytest.mark.parametrize("octets", [0, 12, 27])
def test_refuses_a_truncated_key_under_a_passphrase(protected: bytes, octets: int) -> None:
    material = base64.b64encode(bytes(octets)).decode()
    forged = altered(protected, lambda document: document["keys"][0].update(material=material))
    assert refusal_of(forged, PASSPHRASE).startswith(("is malformed: ", "does not open: "))


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=len(IN_CLEAR)))
def test_answers_any_octets_with_keys_or_a_refusal(junk: bytes, place: int) -> None:
    for text in (junk, IN_CLEAR[:place] + junk + IN_CLEAR[place:], IN_CLEAR[:place] + junk):
        try:
            keys = read(text, None, PATH)
        except MasterKeyUnusable as unusable:
            shown = f"{unusable} {unusable.__cause__!r} {unusable.__context__!r}"
        else:
            shown = repr(keys)
        for dated in KEYS.dated:
            assert base64.b64encode(dated.key.material).decode() not in shown


def test_no_refusal_carries_the_document() -> None:
    with pytest.raises(MasterKeyUnusable) as unusable:
        read(IN_CLEAR[:-3], None, PATH)
    assert unusable.value.__cause__ is None
    assert unusable.value.__context__ is None


def test_refuses_keys_without_a_proper_name_or_time() -> None:
    with pytest.raises(ValueError, match="16 hexadecimal digits"):
        DatedKey(key=MasterKey(key_id="2026a", material=bytes(32)), created=CREATED)
    with pytest.raises(ValueError, match="time zone"):
        DatedKey.generate(CREATED.replace(tzinfo=None))
