"""One service for all programs; a program that is not installed is skipped by name, loudly (`-rs`)."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.postbox import Postbox, postbox
from tests.service import UNHURRIED, Running, install, serving


@pytest.fixture(scope="session")
def mail() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, mail: Postbox) -> Iterator[Running]:
    installed = install(tmp_path_factory.mktemp("interop") / "pushpki", smtp=mail.smtp)
    with serving(installed, variables=UNHURRIED) as running:
        yield running


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} IS NOT INSTALLED: run deploy/install-interop-tools.sh as root")
        return path

    return find
