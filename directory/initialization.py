"""How does an installation come into being? Everything is made in a folder beside, which then takes its name.

So there is either a complete installation or none: an interrupted `init` leaves only a folder whose name says
what it is, and is simply begun again.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.hierarchy import AuthorityName, create_issuing, create_root, create_tls_server
from ca.issuance import Issuer
from ca.keys import PrivateKey, generate
from ca.linting import Linter
from ca.masterkey import create_master_key_file
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.signers import SoftwareSigner
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock, SystemClock
from directory.errors import ConfigurationRefused
from directory.settings import load_settings
from directory.wiring.installation import Installation, migrate_database, open_unchecked

CONFIGURATION_NAME = "pushpki.toml"
MASTER_KEY_NAME = "master.key"
TLS_CERTIFICATE_NAME = "tls.crt"
TLS_KEY_NAME = "tls.key"
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What is to be made."""

    folder: Path
    suffix: str
    authority: str
    """The organization in the names of root and issuing CA."""
    public_url: str
    database_url: str
    database_password_file: Path | None = None
    passphrase_file: Path | None = None
    passphrase: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What was made."""

    configuration: Path
    root_fingerprint: str
    """SHA-256 of the root certificate, in hexadecimal."""
    issuer_id: str


async def initialize(
    blueprint: Blueprint,
    *,
    actor: str,
    tell: Callable[[str], None],
    clock: Clock | None = None,
) -> Created:
    """Make an installation.

    Raises:
        ConfigurationRefused: the folder exists, the database is in use, or a value is not acceptable.
        ProfileRefused: the authority's name or the public URL is not acceptable.
        StoreUnavailable: the database does not answer.
    """
    folder = blueprint.folder
    if folder.exists():
        raise ConfigurationRefused(
            key="--dir", reason=f"{folder} exists already", remedy="an installation is never overwritten"
        )
    workshop = folder.with_name(f"{folder.name}.initializing")
    _clear(workshop)
    # Names and URL are judged before anything is made.
    AuthorityName(organization=blueprint.authority, common_name=blueprint.authority)
    publication = Publication(blueprint.public_url)
    clock = clock or SystemClock()

    workshop.mkdir(mode=0o700, parents=True)
    tell("Making the master key …")
    create_master_key_file(workshop / MASTER_KEY_NAME, blueprint.passphrase, created=clock.now())
    _write_private(workshop / CONFIGURATION_NAME, _configuration(blueprint).encode())
    settings = load_settings(workshop / CONFIGURATION_NAME)
    tell("Making the database …")
    await migrate_database(settings)
    async with open_unchecked(settings, blueprint.passphrase, clock=clock) as installation:
        if await installation.issuers.all():
            raise ConfigurationRefused(
                key="--database", reason="the database holds an installation already", remedy="give another"
            )
        await installation.register_master_key(actor)
        linter = Linter()
        linter.warm()
        tell("Making the root and the issuing CA …")
        root, issuing = await _make_hierarchy(installation, blueprint, publication, linter, actor)
        tell("Making a TLS certificate for this machine …")
        _make_tls(workshop, clock, linter)
    workshop.rename(folder)
    _sync(folder.parent)
    return Created(
        configuration=folder / CONFIGURATION_NAME,
        root_fingerprint=root.certificate.fingerprint(hashes.SHA256()).hex(),
        issuer_id=issuing,
    )


async def _make_hierarchy(
    installation: Installation, blueprint: Blueprint, publication: Publication, linter: Linter, actor: str
) -> tuple[Issuer, str]:
    now = installation.clock.now()
    year = now.year

    def named(what: str) -> AuthorityName:
        return AuthorityName(
            organization=blueprint.authority, common_name=f"{blueprint.authority[:40]} {what} {year}"
        )

    root_profile = _profile(Purpose.ROOT_CA)
    root_certificate, root_key = create_root(root_profile, named("Root CA"), now, linter)
    root = Issuer(root_certificate, SoftwareSigner(root_key), publication, linter)
    issuing_profile = _profile(Purpose.ISSUING_CA)
    issuing_key = generate(issuing_profile.key_algorithm)
    issuing_certificate = create_issuing(
        root, issuing_profile, named("Issuing CA"), issuing_key.public_key(), now
    )
    issuing = Issuer(issuing_certificate, SoftwareSigner(issuing_key), publication, linter)
    made: tuple[tuple[Issuer, PrivateKey, Purpose, str | None], ...] = (
        (root, root_key, Purpose.ROOT_CA, None),
        (issuing, issuing_key, Purpose.ISSUING_CA, root.key_id),
    )
    for issuer, key, purpose, parent_id in made:
        event = AuditEvent(
            kind=AuditKind.ISSUER_CREATED,
            at=now,
            actor=actor,
            subject=issuer.key_id,
            detail={"name": issuer.name.rfc4514_string()},
        )
        await installation.add_issuer(issuer, key, purpose=purpose, parent_id=parent_id, event=event)
    return root, issuing.key_id


def _profile(purpose: Purpose) -> Profile:
    return Profile.from_config(ProfileConfig.standard(purpose))


def _make_tls(workshop: Path, clock: Clock, linter: Linter) -> None:
    certificate, key = create_tls_server(_LOCAL_HOSTS, clock.now(), linter)
    _write_private(
        workshop / TLS_KEY_NAME, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    _write_public(workshop / TLS_CERTIFICATE_NAME, certificate)


def _write_public(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _clear(workshop: Path) -> None:
    """Remove what an interrupted `init` left behind; anything else of that name is not ours to remove."""
    if not workshop.exists():
        return
    if not (workshop / MASTER_KEY_NAME).exists() and any(workshop.iterdir()):
        raise ConfigurationRefused(
            key="--dir", reason=f"{workshop} is in the way", remedy="remove it, or choose another folder"
        )
    shutil.rmtree(workshop)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _configuration(blueprint: Blueprint) -> str:
    """Write the configuration: what this installation decided; everything else has its default."""
    return f"""\
# The configuration of pushpki. Every key is described in docs/configuration.md; unknown keys are errors.
# Relative paths are relative to this file. A variable PUSHPKI_SECTION__KEY overrides its key.

[database]
url = {_quoted(blueprint.database_url)}
{_path_line("password_file", blueprint.database_password_file)}
[master_key]
file = "{MASTER_KEY_NAME}"
{_path_line("passphrase_file", blueprint.passphrase_file)}
[ca]
# Where certificates say that CRLs and issuer certificates are fetched.
public_url = {_quoted(blueprint.public_url)}

[directory]
suffix = {_quoted(blueprint.suffix)}

[tls]
certificate = "{TLS_CERTIFICATE_NAME}"
key = "{TLS_KEY_NAME}"

[http]
listen = "127.0.0.1:8080"

[ldap]
listen = "127.0.0.1:3890"

[ldaps]
listen = "127.0.0.1:6360"
"""


def _path_line(key: str, path: Path | None) -> str:
    return "" if path is None else f"{key} = {_quoted(str(path))}\n"


def _quoted(text: str) -> str:
    # A TOML basic string (TOML 1.0): JSON's escapes are a subset of its own.
    return json.dumps(text, ensure_ascii=False)
