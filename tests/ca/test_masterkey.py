"""The master key file is durable, private, never overwritten, and loses no key while keys are rotated."""

import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ca import masterkey
from ca.errors import MasterKeyUnknown, MasterKeyUnusable
from ca.masterkey import add_active_key, create_master_key_file, drop_retired_keys, load_master_keyring
from ca.sealing import MasterKeyring, Sealer, SecretIdentity, SecretKind

PASSPHRASE = b"correct horse battery staple"
CREATED = datetime(2026, 3, 1, tzinfo=UTC)
LATER = CREATED + timedelta(days=365)
IDENTITY = SecretIdentity(kind=SecretKind.PASSWORD, record_id="enrolment-1", organization_id="clinic")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "master.key"


def created(path: Path, passphrase: bytes | None = None) -> MasterKeyring:
    return create_master_key_file(path, passphrase, created=CREATED)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal_of_loading(path: Path, passphrase: bytes | None = None) -> str:
    with pytest.raises(MasterKeyUnusable) as unusable:
        load_master_keyring(path, passphrase)
    assert unusable.value.path == path
    return unusable.value.reason


@contextmanager
def disk_full_after(octets: int) -> Iterator[None]:
    """Let every file of this process end at so many octets, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["in clear", "under a passphrase"])
def test_loads_what_was_created(path: Path, passphrase: bytes | None) -> None:
    keyring = created(path, passphrase)
    assert keyring.retired == ()
    assert load_master_keyring(path, passphrase) == keyring


def test_every_file_gets_a_key_of_its_own(tmp_path: Path) -> None:
    one, other = created(tmp_path / "one"), created(tmp_path / "other")
    assert one.active.key_id != other.active.key_id
    assert one.active.material != other.active.material


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_is_private_whatever_the_umask(path: Path, mask: int) -> None:
    with umask(mask):
        created(path)
        assert mode_of(path) == 0o600
        add_active_key(path, None, created=LATER)
        assert mode_of(path) == 0o600


def test_never_overwrites_a_file(path: Path) -> None:
    path.write_text("somebody else's")
    with pytest.raises(MasterKeyUnusable, match="already exists"):
        created(path)
    assert path.read_text() == "somebody else's"


def test_never_follows_a_link_to_create(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.symlink_to(elsewhere)
    with pytest.raises(MasterKeyUnusable, match="already exists"):
        created(path)
    assert not elsewhere.exists()


def test_refuses_an_empty_passphrase(path: Path) -> None:
    with pytest.raises(MasterKeyUnusable, match="empty passphrase"):
        created(path, b"")
    assert not path.exists()


def test_leaves_nothing_behind_when_the_disk_is_full(path: Path) -> None:
    with disk_full_after(100), pytest.raises(MasterKeyUnusable, match="cannot be written: File too large"):
        created(path)
    assert list(path.parent.iterdir()) == []


def test_cannot_be_created_where_there_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyUnusable, match="cannot be created: No such file"):
        created(tmp_path / "absent" / "master.key")


def test_says_that_the_file_is_missing(path: Path) -> None:
    assert refusal_of_loading(path) == "is missing"


def test_says_that_the_file_is_a_directory(path: Path) -> None:
    path.mkdir()
    assert refusal_of_loading(path) == "is a directory"


def test_does_not_wait_for_a_named_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)
    assert refusal_of_loading(path) == "is not a regular file"


def test_says_that_the_file_cannot_be_read(path: Path) -> None:
    path.symlink_to(path)
    assert refusal_of_loading(path) == "cannot be read: Too many levels of symbolic links"


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o660, 0o666, 0o777, 0o440])
def test_refuses_a_file_that_others_may_touch(path: Path, mode: int) -> None:
    created(path)
    path.chmod(mode)
    assert "accessible to group or others" in refusal_of_loading(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_accepts_a_file_of_its_owner_only(path: Path, mode: int) -> None:
    keyring = created(path)
    path.chmod(mode)
    assert load_master_keyring(path, None) == keyring


@pytest.mark.parametrize(
    ("owner", "reader", "mode", "refused"),
    [
        (0, 990, 0o440, False),  # a systemd credential: root's, with an ACL for the service's user
        (0, 990, 0o640, False),  # a Kubernetes secret with fsGroup
        (0, 990, 0o444, True),
        (0, 990, 0o460, True),
        (990, 990, 0o400, False),
        (990, 990, 0o440, True),
        (990, 0, 0o640, True),
        (0, 0, 0o440, True),
        (991, 990, 0o440, True),
    ],
)
def test_lets_a_group_read_only_what_root_hands_to_another_user(
    owner: int, reader: int, mode: int, *, refused: bool
) -> None:
    assert bool(mode & masterkey._forbidden_bits(owner=owner, reader=reader)) is refused


def test_loads_a_credential_from_a_read_only_directory(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    keyring = created(directory / "master.key")
    (directory / "master.key").chmod(0o400)
    directory.chmod(0o500)
    assert load_master_keyring(directory / "master.key", None) == keyring


def test_refuses_a_file_too_large_to_be_one(path: Path) -> None:
    created(path)
    with path.open("ab") as file:
        file.write(b" " * 65536)
    assert refusal_of_loading(path) == "is not a master key file"


def test_says_what_is_wrong_with_the_passphrase(path: Path) -> None:
    created(path, PASSPHRASE)
    assert refusal_of_loading(path) == "needs a passphrase"
    assert "passphrase is wrong" in refusal_of_loading(path, b"guess")


def test_a_new_active_key_keeps_the_old_ones(path: Path) -> None:
    first = created(path).active
    second = add_active_key(path, None, created=LATER).active
    third = add_active_key(path, None, created=LATER)
    assert third.retired == (first, second)
    assert len({first.key_id, second.key_id, third.active.key_id}) == 3
    assert load_master_keyring(path, None) == third


def test_rotation_keeps_the_passphrase_and_the_dates(path: Path) -> None:
    created(path, PASSPHRASE)
    before = path.read_text()
    keyring = add_active_key(path, PASSPHRASE, created=LATER)
    assert load_master_keyring(path, PASSPHRASE) == keyring
    assert refusal_of_loading(path) == "needs a passphrase"
    dates = [entry["created"] for entry in json.loads(path.read_text())["keys"]]
    assert dates == [CREATED.isoformat(), LATER.isoformat()]
    assert json.loads(before)["passphrase"]["salt"] not in path.read_text()


def test_a_whole_rotation_loses_no_secret(path: Path) -> None:
    sealed = Sealer(created(path)).seal(b"secret", IDENTITY)
    during = add_active_key(path, None, created=LATER)
    assert Sealer(during).unseal(sealed, IDENTITY) == b"secret"
    rewrapped = Sealer(during).rewrap(sealed, IDENTITY)
    after = drop_retired_keys(path, None, keep=set())
    assert after.retired == ()
    assert after == load_master_keyring(path, None)
    assert Sealer(after).unseal(rewrapped, IDENTITY) == b"secret"
    with pytest.raises(MasterKeyUnknown):
        Sealer(after).unseal(sealed, IDENTITY)


def test_drops_only_what_is_not_kept(path: Path) -> None:
    first = created(path).active
    second = add_active_key(path, None, created=LATER).active
    third = add_active_key(path, None, created=LATER).active
    keyring = drop_retired_keys(path, None, keep=[second.key_id, third.key_id])
    assert keyring == MasterKeyring(active=third, retired=(second,))
    assert first.key_id not in path.read_text()


def test_never_drops_the_active_key(path: Path) -> None:
    keyring = created(path)
    assert drop_retired_keys(path, None, keep=()) == keyring


def test_drops_nothing_when_a_needed_key_is_not_there(path: Path) -> None:
    created(path)
    keyring = add_active_key(path, None, created=LATER)
    with pytest.raises(MasterKeyUnusable, match="lacks 0123456789abcdef, which is still needed"):
        drop_retired_keys(path, None, keep={"0123456789abcdef", keyring.active.key_id})
    assert load_master_keyring(path, None) == keyring
    assert list(path.parent.iterdir()) == [path]


def test_is_on_the_disk_before_its_name_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[str, int]] = []
    fsync = os.fsync

    def recording_fsync(descriptor: int) -> None:
        fsync(descriptor)
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        flushed.append((kind, len(load_master_keyring(path, None).retired)))

    monkeypatch.setattr(os, "fsync", recording_fsync)
    created(path)
    assert flushed == [("file", 0), ("directory", 0)]
    flushed.clear()
    add_active_key(path, None, created=LATER)
    assert flushed == [("file", 0), ("directory", 1)]


def test_the_old_file_survives_a_full_disk(path: Path) -> None:
    keyring = created(path)
    octets = path.stat().st_size
    with disk_full_after(octets), pytest.raises(MasterKeyUnusable, match="cannot be written"):
        add_active_key(path, None, created=LATER)
    assert load_master_keyring(path, None) == keyring
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_survives_a_wrong_passphrase(path: Path) -> None:
    keyring = created(path, PASSPHRASE)
    with pytest.raises(MasterKeyUnusable, match="passphrase is wrong"):
        add_active_key(path, b"guess", created=LATER)
    assert load_master_keyring(path, PASSPHRASE) == keyring
    assert list(path.parent.iterdir()) == [path]


def test_two_changes_at_once_cannot_drop_each_others_key(path: Path) -> None:
    keyring = created(path)
    successor = path.with_name("master.key.new")
    successor.write_text("the other change, half written")
    with pytest.raises(MasterKeyUnusable, match="another change is under way, or was interrupted"):
        add_active_key(path, None, created=LATER)
    assert successor.read_text() == "the other change, half written"
    assert load_master_keyring(path, None) == keyring


def test_a_change_reaches_the_file_behind_a_link(path: Path) -> None:
    target = path.with_name("the-real.key")
    created(target)
    path.symlink_to(target)
    keyring = add_active_key(path, None, created=LATER)
    assert path.is_symlink()
    assert load_master_keyring(target, None) == keyring


@as_root
def test_root_leaves_the_file_to_the_service(path: Path) -> None:
    created(path)
    os.chown(path, 990, 991)
    add_active_key(path, None, created=LATER)
    assert (path.stat().st_uid, path.stat().st_gid) == (990, 991)
    assert mode_of(path) == 0o600
