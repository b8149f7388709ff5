"""A sealed secret opens for its own record, under its own master key, untouched; in no other case."""

import dataclasses
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.errors import MasterKeyUnknown, SealBroken
from ca.sealing import (
    MasterKey,
    MasterKeyring,
    SealedSecret,
    Sealer,
    SecretIdentity,
    SecretKind,
    _associated_data,
)

SECRET = b"the private key of anna@example.org"


def master_key(key_id: str = "2026a") -> MasterKey:
    return MasterKey(key_id=key_id, material=secrets.token_bytes(32))


def identity(
    kind: SecretKind = SecretKind.RECIPIENT_KEY,
    record_id: str = "enrolment-1",
    organization_id: str | None = "clinic",
) -> SecretIdentity:
    return SecretIdentity(kind=kind, record_id=record_id, organization_id=organization_id)


OLD_KEY = master_key("2025a")
KEY = master_key("2026a")
SEALER = Sealer(MasterKeyring(active=KEY))
SEALED = SEALER.seal(SECRET, identity())

identities = st.builds(
    SecretIdentity,
    kind=st.sampled_from(SecretKind),
    record_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
    organization_id=st.none() | st.text(st.characters(codec="utf-8"), max_size=8),
)


@given(st.binary(max_size=5000), identities)
def test_opens_what_it_sealed(secret: bytes, of: SecretIdentity) -> None:
    assert SEALER.unseal(SEALER.seal(secret, of), of) == secret


@pytest.mark.parametrize("kind", SecretKind)
def test_opens_every_kind_of_secret(kind: SecretKind) -> None:
    of = identity(kind=kind, organization_id=None)
    assert SEALER.unseal(SEALER.seal(SECRET, of), of) == SECRET


@pytest.mark.parametrize(
    "other",
    [
        identity(record_id="enrolment-2"),
        identity(kind=SecretKind.PASSWORD),
        identity(organization_id="law-firm"),
        identity(organization_id=None),
        identity(organization_id=""),
        identity(record_id="enrolment-1clinic", organization_id=""),
    ],
)
def test_does_not_open_for_another_record_kind_or_organization(other: SecretIdentity) -> None:
    with pytest.raises(SealBroken) as broken:
        SEALER.unseal(SEALED, other)
    assert (broken.value.kind, broken.value.record_id) == (other.kind, other.record_id)
    with pytest.raises(SealBroken):
        SEALER.rewrap(SEALED, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (identity(organization_id=None), identity(organization_id="")),
        (identity(record_id="ab", organization_id="c"), identity(record_id="a", organization_id="bc")),
        (
            identity(record_id="a", organization_id="of the service"),
            identity(record_id="aof an organization", organization_id=None),
        ),
        (
            identity(record_id="1", kind=SecretKind.PASSWORD),
            identity(record_id="password1", kind=SecretKind.PASSWORD),
        ),
    ],
)
def test_no_two_records_say_the_same(one: SecretIdentity, other: SecretIdentity) -> None:
    assert _associated_data(one, b"secret") != _associated_data(other, b"secret")
    with pytest.raises(SealBroken):
        SEALER.unseal(SEALER.seal(SECRET, one), other)


def test_an_organization_cannot_be_named_like_a_layer() -> None:
    of_the_service, of_an_organization = identity(organization_id=None), identity(organization_id="data key")
    one = _associated_data(of_the_service, b"data key", b"secret")
    assert one != _associated_data(of_an_organization, b"secret")


@given(identities, identities)
def test_only_one_record_has_its_associated_data(one: SecretIdentity, other: SecretIdentity) -> None:
    same = _associated_data(one, b"secret") == _associated_data(other, b"secret")
    assert same is (one == other)


@given(st.sampled_from(["wrapped_key", "ciphertext"]), st.data())
def test_does_not_open_after_any_bit_was_flipped(blob: str, data: st.DataObject) -> None:
    octets = bytearray(getattr(SEALED, blob))
    bit = data.draw(st.integers(min_value=0, max_value=8 * len(octets) - 1))
    octets[bit // 8] ^= 1 << bit % 8
    altered = with_blob(blob, bytes(octets))
    with pytest.raises(SealBroken):
        SEALER.unseal(altered, identity())


def test_does_not_open_after_any_truncation() -> None:
    for blob in ("wrapped_key", "ciphertext"):
        whole: bytes = getattr(SEALED, blob)
        for length in range(len(whole)):
            with pytest.raises(SealBroken):
                SEALER.unseal(with_blob(blob, whole[:length]), identity())


def with_blob(blob: str, octets: bytes) -> SealedSecret:
    if blob == "wrapped_key":
        return dataclasses.replace(SEALED, wrapped_key=octets)
    return dataclasses.replace(SEALED, ciphertext=octets)


def test_parts_of_two_seals_of_one_record_do_not_fit_together() -> None:
    again = SEALER.seal(SECRET, identity())
    with pytest.raises(SealBroken):
        SEALER.unseal(dataclasses.replace(SEALED, ciphertext=again.ciphertext), identity())


def test_the_layers_are_not_interchangeable() -> None:
    with pytest.raises(SealBroken):
        SEALER.unseal(dataclasses.replace(SEALED, ciphertext=SEALED.wrapped_key), identity())
    with pytest.raises(SealBroken):
        SEALER.unseal(dataclasses.replace(SEALED, wrapped_key=SEALED.ciphertext), identity())


@pytest.mark.parametrize(
    "left_of_the_wrapped_key",
    [b"", b"\0" * 61, SEALED.wrapped_key[:20]],
    ids=["nothing", "zeros", "the beginning"],
)
def test_a_destroyed_wrapped_key_destroys_the_secret(left_of_the_wrapped_key: bytes) -> None:
    erased = dataclasses.replace(SEALED, wrapped_key=left_of_the_wrapped_key)
    with pytest.raises(SealBroken):
        SEALER.unseal(erased, identity())


def test_neither_blob_shows_the_secret_or_a_key() -> None:
    stored = SEALED.wrapped_key + SEALED.ciphertext
    assert SECRET not in stored
    assert KEY.material not in stored


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    sealed = [SEALER.seal(SECRET, identity()) for _ in range(100)]
    assert len({one.ciphertext for one in sealed}) == 100
    assert len({one.wrapped_key for one in sealed}) == 100


def test_needs_the_master_key_that_wrapped() -> None:
    stranger = Sealer(MasterKeyring(active=master_key("2027a")))
    with pytest.raises(MasterKeyUnknown) as unknown:
        stranger.unseal(SEALED, identity())
    assert unknown.value.master_key_id == "2026a"


def test_does_not_open_under_another_master_key_of_the_same_name() -> None:
    impostor = Sealer(MasterKeyring(active=master_key("2026a")))
    with pytest.raises(SealBroken):
        impostor.unseal(SEALED, identity())


def test_does_not_open_when_the_name_of_the_master_key_was_altered() -> None:
    sealer = Sealer(MasterKeyring(active=KEY, retired=(MasterKey(key_id="twin", material=KEY.material),)))
    with pytest.raises(SealBroken):
        sealer.unseal(dataclasses.replace(SEALED, master_key_id="twin"), identity())


def test_opens_under_a_retired_master_key_and_seals_under_the_active_one() -> None:
    old = Sealer(MasterKeyring(active=OLD_KEY)).seal(SECRET, identity())
    both = Sealer(MasterKeyring(active=KEY, retired=(OLD_KEY,)))
    assert both.unseal(old, identity()) == SECRET
    assert both.active_key_id == "2026a"
    assert both.seal(SECRET, identity()).master_key_id == "2026a"


def test_rewrapping_changes_the_master_key_and_leaves_the_ciphertext() -> None:
    old = Sealer(MasterKeyring(active=OLD_KEY)).seal(SECRET, identity())
    rewrapped = Sealer(MasterKeyring(active=KEY, retired=(OLD_KEY,))).rewrap(old, identity())
    assert rewrapped.master_key_id == "2026a"
    assert rewrapped.ciphertext == old.ciphertext
    assert SEALER.unseal(rewrapped, identity()) == SECRET


def test_rewrapping_under_the_same_master_key_wraps_afresh() -> None:
    rewrapped = SEALER.rewrap(SEALED, identity())
    assert rewrapped.wrapped_key != SEALED.wrapped_key
    assert SEALER.unseal(rewrapped, identity()) == SECRET


def test_nothing_shows_key_material() -> None:
    for value in (KEY, MasterKeyring(active=KEY), SEALER, SEALED):
        shown = f"{value!r} {value}"
        assert KEY.material.hex() not in shown
        assert repr(KEY.material) not in shown
        assert repr(SEALED.wrapped_key) not in shown


def test_master_keys_are_equal_in_name_and_material() -> None:
    assert MasterKey(key_id="a", material=b"x" * 32) == MasterKey(key_id="a", material=b"x" * 32)
    assert MasterKey(key_id="a", material=b"x" * 32) != MasterKey(key_id="a", material=b"y" * 32)
    assert MasterKey(key_id="a", material=b"x" * 32) != MasterKey(key_id="b", material=b"x" * 32)
    assert MasterKey(key_id="a", material=b"x" * 32) != "a"
    assert len({KEY, MasterKey(key_id=KEY.key_id, material=KEY.material)}) == 1


@pytest.mark.parametrize("octets", [0, 16, 31, 33])
def test_refuses_a_master_key_of_another_size(octets: int) -> None:
    with pytest.raises(ValueError, match="256 bits"):
        MasterKey(key_id="a", material=bytes(octets))


def test_refuses_keys_and_records_without_a_name_of_their_own() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        MasterKey(key_id="", material=bytes(32))
    with pytest.raises(ValueError, match="two master keys of one name"):
        MasterKeyring(active=KEY, retired=(KEY,))
    with pytest.raises(ValueError, match="without a record"):
        identity(record_id="")
