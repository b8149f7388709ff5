"""There is either a complete installation or none, whatever goes wrong and whenever."""

import asyncio
import stat
import tomllib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import SignatureAlgorithmOID

from ca.keys import KeyAlgorithm, algorithm_of
from ca.linting import Linter
from ca.profiles import Purpose
from ca.signing import SignatureScheme
from directory.audit import AuditKind
from directory.clock import SystemClock
from directory.errors import ConfigurationRefused, StoreUnavailable
from directory.initialization import Blueprint, Created, initialize
from directory.organization import SHARED_SCOPE
from directory.settings import load_settings
from directory.store.audit_log import read_chain
from directory.wiring.installation import open_installation
from tests.databases import Databases

OPERATOR = "operator:olga"
LOOKS_AT_THE_CLOCK = 6


class PowerCutError(Exception):
    pass


class Interrupting:
    """A clock; at the n-th look at it the power goes."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._clock = SystemClock()

    def now(self) -> datetime:
        self._left -= 1
        if self._left == 0:
            raise PowerCutError
        return self._clock.now()


def a_blueprint(folder: Path, *, database_url: str = "sqlite:///pushpki.sqlite3") -> Blueprint:
    return Blueprint(
        folder=folder,
        suffix="dc=example,dc=com",
        authority="City Hospital",
        public_url="http://pki.hospital.org",
        database_url=database_url,
    )


async def make(blueprint: Blueprint) -> Created:
    return await initialize(blueprint, actor=OPERATOR, tell=lambda _: None)


async def refusal(blueprint: Blueprint) -> ConfigurationRefused:
    with pytest.raises(ConfigurationRefused) as refused:
        await make(blueprint)
    return refused.value


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Created:
    blueprint = a_blueprint(tmp_path_factory.mktemp("made") / "pushpki")
    clock = Interrupting(LOOKS_AT_THE_CLOCK + 1)
    return asyncio.run(initialize(blueprint, actor=OPERATOR, tell=lambda _: None, clock=clock))


@pytest.fixture
def database_url(databases: Databases) -> str:
    """An empty database, outside the folder that is made."""
    return databases.empty("postgresql")


async def test_files_are_their_owners_alone(made: Created) -> None:
    folder = made.configuration.parent

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    modes.pop("pushpki.sqlite3-journal", None)
    assert modes == {
        "master.key": 0o600,
        "pushpki.sqlite3": 0o600,
        "pushpki.toml": 0o600,
        "tls.crt": modes["tls.crt"],
        "tls.key": 0o600,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_nothing_else_is_left(made: Created) -> None:
    assert list(made.configuration.parent.parent.iterdir()) == [made.configuration.parent]


async def test_the_installation_is_sound(made: Created) -> None:
    async with open_installation(load_settings(made.configuration), None) as installation:
        assert [one async for one in installation.verification().violations()] == []
        assert await installation.master_keys.ids() == [installation.sealer.active_key_id]
        hierarchy = await installation.issuers.hierarchy()
        signer = hierarchy.signer(SHARED_SCOPE, installation.clock.now())
    assert signer is not None
    assert signer.issuer_id == made.issuer_id
    issuing, root = map(x509.load_der_x509_certificate, hierarchy.chain(made.issuer_id))
    issuing.verify_directly_issued_by(root)
    assert root.fingerprint(hashes.SHA256()).hex() == made.root_fingerprint
    assert algorithm_of(root.public_key()) is KeyAlgorithm.RSA_4096
    assert algorithm_of(issuing.public_key()) is KeyAlgorithm.RSA_3072
    assert "O=City Hospital" in root.subject.rfc4514_string()


async def test_every_certificate_that_is_made_lints_clean(made: Created, linter: Linter) -> None:
    async with open_installation(load_settings(made.configuration), None) as installation:
        issuing, root = (await installation.issuers.hierarchy()).chain(made.issuer_id)
    pem = (made.configuration.parent / "tls.crt").read_bytes()
    tls = x509.load_pem_x509_certificate(pem)

    assert linter.findings(root, Purpose.ROOT_CA) == ()
    assert linter.findings(issuing, Purpose.ISSUING_CA) == ()
    names = tls.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    key = load_pem_private_key((made.configuration.parent / "tls.key").read_bytes(), None)
    assert key.public_key() == tls.public_key()


async def test_the_audit_log_begins_with_it(made: Created) -> None:
    async with open_installation(load_settings(made.configuration), None) as installation:
        events = [one.event async for one in read_chain(installation.database, installation.node, 10)]

    assert [(event.kind, event.actor) for event in events] == [
        (AuditKind.SERVICE_INITIALIZED, OPERATOR),
        (AuditKind.AUDIT_KEY_CREATED, OPERATOR),
        *(2 * [(AuditKind.ISSUER_KEY_MADE, OPERATOR), (AuditKind.ISSUER_CREATED, OPERATOR)]),
    ]


async def test_a_second_init_is_refused_and_touches_nothing(made: Created) -> None:
    folder = made.configuration.parent
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}

    refused = await refusal(a_blueprint(folder))

    assert (refused.key, str(folder) in refused.reason) == ("--dir", True)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before


async def test_the_configuration_says_what_was_decided_and_nothing_secret(made: Created) -> None:
    text = made.configuration.read_text(encoding="utf-8")

    decided = tomllib.loads(text)
    assert decided["directory"]["suffix"] == "dc=example,dc=com"
    assert decided["ca"]["public_url"] == "http://pki.hospital.org"
    settings = load_settings(made.configuration)
    assert settings.master_key.file == made.configuration.parent / "master.key"
    assert {settings.http.listen.is_loopback, settings.ldap.listen.is_loopback} == {True}


@pytest.mark.parametrize(
    ("key", "deviation"),
    [
        ("--name", {"authority": ""}),
        ("--name", {"authority": "x" * 65}),
        ("--name", {"authority": "City\nHospital"}),
        ("--public-url", {"public_url": "https://pki.hospital.org"}),
        ("--public-url", {"public_url": "http://10.0.0.1"}),
        ("--public-url", {"public_url": "ftp://x"}),
        ("directory.suffix", {"suffix": "nonsense"}),
        ("directory.suffix", {"suffix": "cn=admin"}),
        ("directory.suffix", {"suffix": ""}),
        ("database.url", {"database_url": "mysql://db/pushpki"}),
        ("database.url", {"database_url": "postgresql://user:secret@db/pushpki"}),
    ],
)
async def test_refuses_what_would_not_serve_and_leaves_nothing(
    tmp_path: Path, key: str, deviation: dict[str, str]
) -> None:
    refused = await refusal(replace(a_blueprint(tmp_path / "pushpki"), **deviation))  # type: ignore[arg-type]  # a deviation is of its field's type

    assert refused.key == key
    assert "secret" not in str(refused)
    assert left_in(tmp_path) == []


async def test_a_database_that_does_not_answer_leaves_nothing(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody@/pushpki?host={tmp_path}"

    with pytest.raises(StoreUnavailable):
        await make(a_blueprint(tmp_path / "pushpki", database_url=nowhere))

    assert left_in(tmp_path) == []


async def interrupted(blueprint: Blueprint, at: int) -> None:
    with pytest.raises(PowerCutError):
        await initialize(blueprint, actor=OPERATOR, tell=lambda _: None, clock=Interrupting(at))


@pytest.mark.parametrize("at", [1, 2, 3, LOOKS_AT_THE_CLOCK])
async def test_an_interruption_leaves_nothing(tmp_path: Path, at: int) -> None:
    await interrupted(a_blueprint(tmp_path / "pushpki"), at)

    assert left_in(tmp_path) == []


async def test_after_an_interruption_it_is_simply_begun_again(tmp_path: Path, database_url: str) -> None:
    """The database outlives the interruption; nothing in it keeps the next one out."""
    blueprint = a_blueprint(tmp_path / "pushpki", database_url=database_url)
    await interrupted(blueprint, LOOKS_AT_THE_CLOCK)

    created = await make(blueprint)

    async with open_installation(load_settings(created.configuration), None) as installation:
        assert [one async for one in installation.verification().violations()] == []
        assert len((await installation.issuers.hierarchy()).issuers) == 2
        assert len(await installation.master_keys.ids()) == 1
    refused = await refusal(a_blueprint(tmp_path / "another", database_url=database_url))
    assert refused.key == "--database"
    assert left_in(tmp_path) == ["pushpki"]


async def test_of_two_at_once_on_one_database_one_founds_it(tmp_path: Path, database_url: str) -> None:
    blueprints = [a_blueprint(tmp_path / name, database_url=database_url) for name in ("a", "b")]

    results = await asyncio.gather(*map(make, blueprints), return_exceptions=True)

    (created,) = [result for result in results if isinstance(result, Created)]
    (refused,) = [result for result in results if isinstance(result, ConfigurationRefused)]
    assert refused.key == "--database"
    assert left_in(tmp_path) == [created.configuration.parent.name]
    async with open_installation(load_settings(created.configuration), None) as installation:
        assert [one async for one in installation.verification().violations()] == []


async def test_root_and_issuing_ca_are_signed_as_wished_and_so_is_what_follows(tmp_path: Path) -> None:
    wished = replace(a_blueprint(tmp_path / "pushpki"), signature=SignatureScheme.PSS)

    created = await make(wished)

    settings = load_settings(created.configuration)
    assert settings.ca.signature is SignatureScheme.PSS
    async with open_installation(settings, None) as installation:
        issuers = (await installation.issuers.hierarchy()).issuers
    assert len(issuers) == 2
    for issuer in issuers:
        certificate = x509.load_der_x509_certificate(issuer.certificate)
        assert certificate.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
        assert Linter().findings(issuer.certificate, issuer.purpose) == ()


async def test_a_variable_says_how_they_are_signed_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_CA__SIGNATURE", "pss")

    created = await make(a_blueprint(tmp_path / "pushpki"))

    async with open_installation(load_settings(created.configuration), None) as installation:
        issuers = (await installation.issuers.hierarchy()).issuers
    assert {x509.load_der_x509_certificate(one.certificate).signature_algorithm_oid for one in issuers} == {
        SignatureAlgorithmOID.RSASSA_PSS
    }
