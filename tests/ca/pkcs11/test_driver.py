"""What a PKCS#11 library says, and what becomes of it; the library itself is played by objects of the test.

Against a real one it is tested in `tests/interop/test_softhsm.py`.
"""

from pathlib import Path
from typing import Any

import pkcs11
import pytest

from ca.errors import PinRefused, SignerUnavailable, TokenDeclined, TokenKeyMissing
from ca.keys import KeyAlgorithm
from ca.pkcs11.driver import Pkcs11Driver
from ca.pkcs11.port import SigningMechanism


class Key:
    def __init__(self) -> None:
        self.fails_with: Exception | None = None

    def sign(self, octets: bytes, **_: Any) -> bytes:
        if self.fails_with is not None:
            raise self.fails_with
        return b"signed " + octets


class Session:
    def __init__(self) -> None:
        self.key = Key()
        self.token: Library | None = None
        self.fails_with: Exception | None = None
        self.searches = 0

    def get_key(self, **_: Any) -> Key:
        self.searches += 1
        if self.fails_with is not None:
            raise self.fails_with
        return self.key

    def close(self) -> None:
        raise pkcs11.SessionHandleInvalid


class Library:
    """A library with one slot and, mostly, one token."""

    def __init__(self) -> None:
        self.flags = pkcs11.TokenFlag(0)
        self.session = Session()
        self.session.token = self
        self.pins: list[str] = []
        self.fails_with: Exception | None = None
        self.refuses_with: Exception | None = None
        self.writes_fail_with: Exception | None = None
        self.started = 0

    def finalize(self) -> None:
        raise pkcs11.GeneralError

    def initialize(self) -> None:
        self.started += 1

    def get_token(self, **_: Any) -> "Library":
        if self.fails_with is not None:
            raise self.fails_with
        return self

    def open(self, *, user_pin: str = "", rw: bool = False) -> Session:
        if rw and self.writes_fail_with is not None:
            raise self.writes_fail_with
        self.pins.append(user_pin)
        if self.refuses_with is not None:
            raise self.refuses_with
        return self.session


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setattr(pkcs11, "lib", lambda _: found)
    return found


class Pin:
    def __init__(self) -> None:
        self.text = "1234"

    def __call__(self) -> str:
        return self.text


@pytest.fixture
def pin() -> Pin:
    return Pin()


@pytest.fixture
def driver(library: Library, pin: Pin) -> Pkcs11Driver:
    del library
    return Pkcs11Driver(Path("module.so"), "token-1", pin)


def sign(driver: Pkcs11Driver) -> bytes:
    return driver.sign(b"\x01", SigningMechanism.ECDSA, b"octets")


def test_a_key_is_searched_for_once_in_each_session(driver: Pkcs11Driver, library: Library) -> None:
    driver.connect()
    assert sign(driver) == sign(driver) == b"signed octets"
    assert library.session.searches == 1

    driver.connect()
    sign(driver)

    assert library.session.searches == 2
    assert library.started == 2, "the library is begun anew, though it could not be ended"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pkcs11.NoSuchToken("No token matching"), "is not there"),
        (pkcs11.TokenNotPresent(), "is not there"),
        (pkcs11.DeviceRemoved(), "was taken away"),
        (pkcs11.MultipleTokensReturned(), "is there more than once"),
        (pkcs11.GeneralError(), "answers GeneralError"),
        (pkcs11.PKCS11Error("OS exception while loading module.so"), "OS exception while loading module.so"),
    ],
)
def test_a_token_that_cannot_be_reached_is_unavailable(
    driver: Pkcs11Driver, library: Library, error: Exception, said: str
) -> None:
    library.fails_with = error

    with pytest.raises(SignerUnavailable, match=said):
        driver.connect()

    assert library.pins == []


@pytest.mark.parametrize(
    "error",
    [
        pkcs11.SessionHandleInvalid(),
        pkcs11.SessionClosed(),
        pkcs11.ObjectHandleInvalid(),
        pkcs11.UserNotLoggedIn(),
        pkcs11.DeviceError(),
        pkcs11.DeviceRemoved(),
        pkcs11.TokenNotPresent(),
        pkcs11.MechanismInvalid(),
    ],
)
def test_whatever_keeps_it_from_signing_makes_it_unavailable(
    driver: Pkcs11Driver, library: Library, error: Exception
) -> None:
    driver.connect()
    library.session.key.fails_with = error

    with pytest.raises(SignerUnavailable) as caught:
        sign(driver)

    assert not isinstance(caught.value, PinRefused | TokenKeyMissing)


def test_a_key_that_is_not_there_is_named(driver: Pkcs11Driver, library: Library) -> None:
    driver.connect()
    library.session.fails_with = pkcs11.NoSuchKey("No key matching")

    with pytest.raises(TokenKeyMissing, match="has no private key of CKA_ID 01"):
        sign(driver)
    with pytest.raises(TokenKeyMissing):
        driver.require_key(b"\x01")


def test_two_keys_of_one_name_are_none(driver: Pkcs11Driver, library: Library) -> None:
    driver.connect()
    library.session.fails_with = pkcs11.MultipleObjectsReturned()

    with pytest.raises(SignerUnavailable, match="several keys of this CKA_ID"):
        sign(driver)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pkcs11.PinIncorrect(), "does not take the PIN"),
        (pkcs11.PinLenRange(), "of this length"),
        (pkcs11.PinLocked(), "has locked its PIN"),
        (pkcs11.PinExpired(), "has expired"),
        (pkcs11.UserPinNotInitialized(), "has no user PIN yet"),
    ],
)
def test_a_pin_that_is_refused_is_not_repeated(
    driver: Pkcs11Driver, library: Library, error: Exception, said: str
) -> None:
    library.refuses_with = error

    with pytest.raises(PinRefused, match=said) as caught:
        driver.connect()

    assert "1234" not in str(caught.value)
    assert "1234" not in repr(caught.value)


def test_a_pin_that_was_refused_is_not_offered_again(
    driver: Pkcs11Driver, library: Library, pin: Pin
) -> None:
    library.refuses_with = pkcs11.PinIncorrect()
    for _ in range(3):
        with pytest.raises(PinRefused):
            driver.connect()
    assert library.pins == ["1234"]

    library.refuses_with, pin.text = None, "5678"
    driver.connect()

    assert library.pins == ["1234", "5678"]


def test_the_last_try_is_left_to_a_person(driver: Pkcs11Driver, library: Library) -> None:
    library.flags = pkcs11.TokenFlag.USER_PIN_FINAL_TRY

    with pytest.raises(PinRefused, match="left to a person"):
        driver.connect()

    assert library.pins == []


def test_before_the_login_nothing_is_signed(driver: Pkcs11Driver) -> None:
    with pytest.raises(SignerUnavailable, match="is not connected"):
        sign(driver)


def test_a_session_that_is_gone_is_closed_without_a_word(driver: Pkcs11Driver) -> None:
    driver.connect()

    driver.close()
    driver.close()


def refusal(driver: Pkcs11Driver) -> set[type[SignerUnavailable]]:
    """Return as what it comes that a key is neither made nor destroyed."""
    with pytest.raises(SignerUnavailable) as destroying:
        driver.destroy(b"\x01")
    with pytest.raises(SignerUnavailable) as generating:
        driver.generate(KeyAlgorithm.P_256, b"\x01", "OCSP responder")
    return {destroying.type, generating.type}


@pytest.mark.parametrize(
    "error",
    [pkcs11.TokenWriteProtected, pkcs11.FunctionRejected, pkcs11.DeviceMemory, pkcs11.GeneralError],
)
def test_a_token_that_answers_that_it_does_not_is_not_gone(
    library: Library, driver: Pkcs11Driver, error: type[Exception]
) -> None:
    driver.connect()
    library.writes_fail_with = error()

    assert refusal(driver) == {TokenDeclined}


@pytest.mark.parametrize("error", [pkcs11.DeviceRemoved, pkcs11.SessionHandleInvalid, pkcs11.UserNotLoggedIn])
def test_a_token_that_is_gone_has_not_answered(
    library: Library, driver: Pkcs11Driver, error: type[Exception]
) -> None:
    driver.connect()
    library.writes_fail_with = error()

    assert refusal(driver) == {SignerUnavailable}
