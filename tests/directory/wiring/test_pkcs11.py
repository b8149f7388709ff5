from pathlib import Path

import pkcs11
import pytest

from ca.errors import PinRefused
from directory.errors import ConfigurationRefused
from directory.settings import Pkcs11Settings
from directory.wiring.pkcs11 import open_token, watching_token


@pytest.fixture
def settings(tmp_path: Path) -> Pkcs11Settings:
    module, pin_file = tmp_path / "module.so", tmp_path / "pin"
    module.write_bytes(b"no library")
    pin_file.write_text("1234\n", encoding="utf-8")
    pin_file.chmod(0o600)
    return Pkcs11Settings(module=module, label="hsm", pin_file=pin_file)


def test_without_settings_there_is_no_token() -> None:
    assert open_token(Pkcs11Settings()) is None


def test_a_token_is_not_asked_before_something_is_to_be_signed(settings: Pkcs11Settings) -> None:
    token = open_token(settings)

    assert token is not None
    assert (token.label, token.problem) == ("hsm", None)


@pytest.mark.parametrize("gone", ["module", "label", "pin_file"])
def test_a_token_is_configured_whole_or_not_at_all(settings: Pkcs11Settings, gone: str) -> None:
    with pytest.raises(ConfigurationRefused, match="a token needs module, label and pin_file"):
        open_token(settings.model_copy(update={gone: None}))


def test_a_module_that_is_not_there_is_named(settings: Pkcs11Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match=r"pkcs11\.module: there is no .*other\.so"):
        open_token(settings.model_copy(update={"module": tmp_path / "other.so"}))


def test_a_pin_that_others_can_read_is_refused(settings: Pkcs11Settings) -> None:
    assert settings.pin_file is not None
    settings.pin_file.chmod(0o644)

    with pytest.raises(ConfigurationRefused, match=r"pkcs11\.pin_file: .* can be read by others"):
        open_token(settings)


async def test_what_is_no_library_keeps_nobody_from_starting(settings: Pkcs11Settings) -> None:
    token = open_token(settings)
    assert token is not None

    async with watching_token(token):
        assert token.problem is not None
        assert "module.so" in token.problem.reason
    token.close()


async def test_without_a_token_there_is_nothing_to_watch() -> None:
    async with watching_token(None):
        pass


def test_a_pin_file_that_went_wrong_is_a_refused_pin(
    settings: Pkcs11Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        flags = pkcs11.TokenFlag(0)

        def finalize(self) -> None: ...
        def initialize(self) -> None: ...
        def get_token(self, **_: object) -> "Library":
            return self

    monkeypatch.setattr(pkcs11, "lib", lambda _: Library())
    token = open_token(settings)
    assert token is not None
    assert settings.pin_file is not None
    settings.pin_file.unlink()

    problem = token.check()

    assert isinstance(problem, PinRefused)
    assert "cannot be read" in problem.reason
    token.close()
