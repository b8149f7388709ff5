import itertools

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from ca.errors import EscrowRefused, SharesRefused
from ca.escrow import RecoveryCertificate
from ca.keys import same_key
from ca.linting import Linter
from ca.recoverykey import SharedRecoveryKey, create_recovery_key, open_recovery_key
from tests.builders import NOW
from tests.recoverykeys import NAME


@pytest.fixture(scope="module")
def made(linter: Linter) -> SharedRecoveryKey:
    return create_recovery_key(NAME, NOW, linter, threshold=2, shares=3)


def test_any_two_of_three_keepers_open_it(made: SharedRecoveryKey) -> None:
    for pair in itertools.combinations(made.shares, 2):
        opened = open_recovery_key(made.file, pair)
        assert opened.certificate == made.certificate
        assert same_key(opened.key.public_key(), made.certificate.public_key())


def test_one_keeper_alone_does_not(made: SharedRecoveryKey) -> None:
    for share in made.shares:
        with pytest.raises(SharesRefused):
            open_recovery_key(made.file, (share,))


def test_keys_may_be_escrowed_to_it(made: SharedRecoveryKey) -> None:
    assert RecoveryCertificate(made.certificate).is_valid_at(NOW)


def test_the_key_is_nowhere_in_clear(made: SharedRecoveryKey) -> None:
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in made.file
    for wrong in (None, b"", b"0" * 64):
        with pytest.raises((ValueError, TypeError)):
            load_pem_private_key(made.file, wrong)
    assert "PRIVATE" not in repr(open_recovery_key(made.file, made.shares))


def test_another_keys_keepers_do_not_open_it(made: SharedRecoveryKey, linter: Linter) -> None:
    other = create_recovery_key(NAME, NOW, linter, threshold=2, shares=2)
    with pytest.raises(EscrowRefused, match="another one"):
        open_recovery_key(made.file, other.shares)

    swapped = other.certificate.public_bytes(Encoding.PEM) + made.file[made.file.index(b"-----BEGIN ENC") :]
    with pytest.raises(EscrowRefused, match="not the certificate's"):
        open_recovery_key(swapped, made.shares)


@pytest.mark.parametrize("file", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_recovery_key_is_refused(made: SharedRecoveryKey, file: bytes) -> None:
    with pytest.raises(EscrowRefused, match="holds no recovery key"):
        open_recovery_key(file, made.shares)


def test_refuses_numbers_that_protect_nothing(linter: Linter) -> None:
    with pytest.raises(SharesRefused):
        create_recovery_key(NAME, NOW, linter, threshold=1, shares=1)
