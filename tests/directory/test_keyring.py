from datetime import UTC, datetime
from pathlib import Path

import pytest

from ca.errors import MasterKeyUnknown, MasterKeyUnusable
from ca.masterkey import add_active_key, create_master_key_file, drop_retired_keys
from ca.sealing import SecretIdentity, SecretKind
from directory.keyring import LiveSealer

NOW = datetime(2026, 11, 22, tzinfo=UTC)
IDENTITY = SecretIdentity(kind=SecretKind.PASSWORD, record_id="e", organization_id="o")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "master.key"
    create_master_key_file(path, None, created=NOW)
    return path


def test_a_rotation_by_another_process_is_in_force_at_the_next_use(key_file: Path) -> None:
    sealer = LiveSealer(key_file, None)
    before = sealer.seal(b"secret", IDENTITY)

    rotated = add_active_key(key_file, None, created=NOW)
    after = sealer.seal(b"secret", IDENTITY)

    assert after.master_key_id == rotated.active.key_id == sealer.active_key_id
    assert before.master_key_id != after.master_key_id
    assert sealer.unseal(before, IDENTITY) == sealer.unseal(after, IDENTITY) == b"secret"


def test_a_secret_wrapped_again_opens_after_the_old_key_is_dropped(key_file: Path) -> None:
    sealer = LiveSealer(key_file, None)
    before = sealer.seal(b"secret", IDENTITY)
    add_active_key(key_file, None, created=NOW)
    wrapped_again = sealer.rewrap(before, IDENTITY)

    drop_retired_keys(key_file, None, keep=())

    assert sealer.unseal(wrapped_again, IDENTITY) == b"secret"
    with pytest.raises(MasterKeyUnknown):
        sealer.unseal(before, IDENTITY)


def test_the_keys_last_read_stay_in_force_while_the_file_is_away(key_file: Path) -> None:
    sealer = LiveSealer(key_file, None)
    sealed = sealer.seal(b"secret", IDENTITY)

    key_file.rename(key_file.with_suffix(".away"))

    assert sealer.unseal(sealed, IDENTITY) == b"secret"


def test_a_file_that_has_become_unusable_is_an_error_at_the_next_use(key_file: Path) -> None:
    sealer = LiveSealer(key_file, None)
    key_file.write_text("nonsense")

    with pytest.raises(MasterKeyUnusable):
        sealer.seal(b"secret", IDENTITY)
