"""What signs configuration profiles, as the operator configured it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.hierarchy import create_tls_server
from ca.linting import Linter
from directory.errors import ConfigurationRefused
from directory.settings import Settings, load_settings
from directory.wiring.recipients import profile_signer
from tests.builders import NOW

BOTH = '[pages]\nsigning_certificate = "tls.crt"\nsigning_key = "tls.key"\n'


@pytest.fixture
def folder(tmp_path: Path, linter: Linter) -> Path:
    """A folder with a certificate and its key."""
    certificate, key = create_tls_server(["localhost"], NOW, linter)
    (tmp_path / "tls.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "tls.key").write_bytes(pem)
    (tmp_path / "tls.key").chmod(0o600)
    return tmp_path


def settings(folder: Path, text: str) -> Settings:
    file = folder / "pushpki.toml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def test_profiles_are_signed_with_what_was_configured_beside_the_configuration(folder: Path) -> None:
    signer = profile_signer(settings(folder, BOTH))

    assert signer is not None
    assert b"<plist/>" in signer.sign(b"<plist/>")


def test_profiles_are_not_signed_where_nothing_was_configured(folder: Path) -> None:
    assert profile_signer(settings(folder, "")) is None


@pytest.mark.parametrize("alone", ["signing_certificate", "signing_key"])
def test_a_certificate_without_its_key_is_refused_and_the_other_way_round(folder: Path, alone: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        profile_signer(settings(folder, f'[pages]\n{alone} = "tls.crt"\n'))

    assert refused.value.key == "pages.signing_certificate"


def test_a_key_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "tls.key").chmod(0o644)

    with pytest.raises(ConfigurationRefused) as refused:
        profile_signer(settings(folder, BOTH))

    assert refused.value.key == "pages.signing_key"


def test_a_certificate_that_is_missing_is_refused_by_its_name(folder: Path) -> None:
    (folder / "tls.crt").unlink()

    with pytest.raises(ConfigurationRefused) as refused:
        profile_signer(settings(folder, BOTH))

    assert refused.value.key == "pages.signing_certificate"
