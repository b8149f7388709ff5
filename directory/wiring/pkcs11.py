"""Which token holds keys of CAs, and who looks after it while the service runs?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from ca.errors import PinRefused
from ca.pkcs11 import TokenLimits, TokenThread
from directory.errors import ConfigurationRefused
from directory.settings import Pkcs11Settings, read_secret_text
from directory.signerwatch import SignerWatch

_PIN_FILE = "pkcs11.pin_file"


def open_token(settings: Pkcs11Settings) -> TokenThread | None:
    """Return the token that is configured, not yet logged in to; None if none is.

    Raises:
        ConfigurationRefused: the module is not there, the PIN file cannot be used, or a part is missing.
    """
    module, label, pin_file = settings.module, settings.label, settings.pin_file
    if module is None and label is None and pin_file is None:
        return None
    if module is None or label is None or pin_file is None:
        raise ConfigurationRefused(
            key="pkcs11", reason="a part is missing", remedy="a token needs module, label and pin_file"
        )
    if not module.is_file():
        raise ConfigurationRefused(
            key="pkcs11.module", reason=f"there is no {module}", remedy="name the token's PKCS#11 library"
        )
    read_secret_text(_PIN_FILE, pin_file)  # to be told now what is wrong with it
    # Loads a foreign library's wrapper, so only where there is one.
    from ca.pkcs11.driver import Pkcs11Driver  # noqa: PLC0415

    driver = Pkcs11Driver(module, label, partial(_read_pin, label, pin_file))
    return TokenThread(driver, TokenLimits(sign=settings.timeout_seconds))


def _read_pin(label: str, pin_file: Path) -> str:
    try:
        return read_secret_text(_PIN_FILE, pin_file)
    except ConfigurationRefused as error:
        raise PinRefused(label, f"cannot be logged in to: {error}") from error


@asynccontextmanager
async def watching_token(token: TokenThread | None) -> AsyncIterator[None]:
    """Log in to the token, if there is one, and look after it until the context ends.

    A token that is away, or does not take the PIN, keeps nobody from starting: what there is is served.
    """
    if token is None:
        yield
        return
    watch = SignerWatch(token)
    await watch.look()
    task = asyncio.create_task(watch.run(), name="token")
    try:
        yield
    finally:
        watch.stop()
        await task
