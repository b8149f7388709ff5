"""One installation is made for all; each test that changes something is lent a copy."""

import os
import shutil
from pathlib import Path

import pytest

from tests.command import Done, pushpki
from tests.directory.cli.workplace import Workplace

ORGANIZATION = (
    *("org", "add", "hospital", "--name", "City Hospital", "--domain", "hospital.org"),
    *("--mail-from", "keys@hospital.org", "--smtp", "smtp://127.0.0.1:2525"),
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("PUSHPKI_")]:
        monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def template_document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `init` says to programs about the installation that it makes."""
    folder = tmp_path_factory.mktemp("template") / "pushpki"
    return pushpki("init", "--dir", str(folder), "--json").document


@pytest.fixture(scope="session")
def template(template_document: dict[str, str]) -> Workplace:
    """An installation with an organization, its gateway `gw` and its agent."""
    template = Workplace(config=Path(template_document["configuration"]))
    template.document(*ORGANIZATION)
    template.document("gateway", "add", "gw", "--org", "hospital")
    template.document("agent", "add", "agent@hospital.org", "--org", "hospital")
    return template


@pytest.fixture(scope="session")
def protected_init(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """What `init` says to people about an installation whose master key has a passphrase."""
    folder = tmp_path_factory.mktemp("protected")
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("correct horse\n", encoding="utf-8")
    return pushpki(
        *("init", "--dir", str(folder / "pushpki"), "--passphrase-file", str(passphrase)),
        *("--name", "City Hospital", "--public-url", "http://pki.hospital.org"),
    )


@pytest.fixture(scope="session")
def protected_template(protected_init: Done) -> Workplace:
    """That installation."""
    created, _, _ = protected_init.out.partition(":")
    return Workplace(config=Path(created.removeprefix("Created ")))


@pytest.fixture
def workplace(template: Workplace, tmp_path: Path) -> Workplace:
    """A copy of it."""
    shutil.copytree(template.folder, tmp_path / "pushpki")
    return Workplace(config=tmp_path / "pushpki" / template.config.name)


@pytest.fixture
def protected(protected_template: Workplace, tmp_path: Path) -> Workplace:
    """A copy of it; its passphrase is in the file `passphrase` beside its folder."""
    original, folder = protected_template.folder.parent, tmp_path / "protected"
    shutil.copytree(original, folder)
    copy = Workplace(config=folder / "pushpki" / protected_template.config.name)
    text = copy.config.read_text(encoding="utf-8")
    copy.config.write_text(text.replace(str(original), str(folder)), encoding="utf-8")
    return copy
