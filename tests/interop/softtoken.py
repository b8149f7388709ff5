"""A token of SoftHSM2's, in a folder of its own, that can be taken away and brought back."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.programs import run

PIN = "8412"
LABEL = "pushpki"
_MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftToken:
    """A token, and the file with its PIN."""

    module: Path
    folder: Path
    pin_file: Path
    configuration: Path

    @property
    def init_options(self) -> tuple[str, ...]:
        """What `pushpki init` is told."""
        return (
            *("--pkcs11-module", str(self.module), "--token", LABEL),
            *("--pin-file", str(self.pin_file)),
        )

    def take_away(self) -> None:
        self.folder.rename(self.folder.with_suffix(".away"))

    def bring_back(self) -> None:
        self.folder.with_suffix(".away").rename(self.folder)

    def util(self, find: Callable[[str], str], *arguments: str) -> None:
        """Run SoftHSM's own program on it."""
        variables = {"SOFTHSM2_CONF": str(self.configuration)}
        done = run([find("softhsm2-util"), *arguments], variables=variables)
        assert done.returncode == 0, done.stderr


@contextmanager
def soft_token(find: Callable[[str], str], place: Path) -> Iterator[SoftToken]:
    """Make a token; the library in this process and in its children finds it while the context lasts."""
    module = next((one for one in _MODULES if one.is_file()), None)
    if module is None:
        pytest.skip("SoftHSM2 IS NOT INSTALLED: run deploy/install-interop-tools.sh as root")
    token = SoftToken(
        module=module,
        folder=place / "tokens",
        pin_file=place / "pin",
        configuration=place / "softhsm2.conf",
    )
    token.folder.mkdir()
    token.pin_file.touch(mode=0o600)
    token.pin_file.write_text(f"{PIN}\n", encoding="ascii")
    token.configuration.write_text(
        f"directories.tokendir = {token.folder}\nobjectstore.backend = file\nlog.level = ERROR\n",
        encoding="ascii",
    )
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(token.configuration)
    try:
        token.util(find, "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "12345678")
        yield token
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before
