"""How does an installation come into being? Everything is made in a folder beside, which then takes its name.

So there is either a complete installation or none: an `init` that was killed leaves only a folder whose name
says what it is, and is simply begun again. A database elsewhere is founded in one transaction, the last step.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.errors import ProfileRefused
from ca.hierarchy import AuthorityName, certify_root, create_issuing, create_tls_server
from ca.issuance import Issuer
from ca.keys import algorithm_of
from ca.linting import Linter
from ca.masterkey import create_master_key_file
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.signers import MadeKey
from ca.signing import SignatureScheme
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock, SystemClock
from directory.errors import AlreadyExists, ConfigurationRefused
from directory.evidence.keys import first_audit_key
from directory.ldap.settings import StartTls
from directory.ldap.tree import Tree
from directory.settings import load_settings
from directory.wiring.installation import Installation, migrate_database, open_unchecked
from directory.wiring.signers import Signers
from directory.workshop import workshop, write_private

CONFIGURATION_NAME = "pushpki.toml"
MASTER_KEY_NAME = "master.key"
TLS_CERTIFICATE_NAME = "tls.crt"
TLS_KEY_NAME = "tls.key"
_LONGEST_IN_NAME = 40
"""How much of the organization's name fits into the names of its CAs."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@unique
class TokenKeys(StrEnum):
    """Whose key pairs are made in the token."""

    ALL = "all"
    ROOT = "root"
    ISSUING = "issuing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlan:
    """The PKCS#11 token that is to hold keys, and which."""

    module: Path
    label: str
    pin_file: Path
    keys: TokenKeys = TokenKeys.ALL


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
    token: TokenPlan | None = None
    signature: SignatureScheme | None = None
    """How RSA keys of CAs sign; None: as the setting says where nobody has set it."""


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
        MasterKeyUnusable: the passphrase is not acceptable.
        PinRefused, SignerUnavailable: the token cannot be used; a key that it has made already stays in it.
        StoreUnavailable: the database does not answer.
    """
    publication = _judged(blueprint)
    clock = clock or SystemClock()
    with workshop(blueprint.folder) as folder:
        tell("Making the master key …")
        create_master_key_file(folder / MASTER_KEY_NAME, blueprint.passphrase, created=clock.now())
        write_private(folder / CONFIGURATION_NAME, _configuration(blueprint).encode())
        settings = load_settings(folder / CONFIGURATION_NAME)
        tell("Making the database …")
        await migrate_database(settings)
        async with open_unchecked(settings, blueprint.passphrase, clock=clock) as installation:
            with _refusing_a_founded_database():
                await installation.founding.refuse_founded()
            # In threads: a root's key takes seconds; connections to the database would time out meanwhile.
            linter = await asyncio.to_thread(Linter)
            tell("Making a TLS certificate for this machine …")
            await asyncio.to_thread(_make_tls, folder, clock, linter)
            tell("Making the root and the issuing CA …")
            making = _Making(
                signers=installation.signers,
                publication=publication,
                linter=linter,
                scheme=settings.ca.signature,
                now=clock.now(),
            )
            hierarchy = await asyncio.to_thread(_Hierarchy.create, blueprint, making)
            # The last step: with it the installation is complete but for its name.
            with _refusing_a_founded_database():
                await hierarchy.record(installation, actor)
    return Created(
        configuration=blueprint.folder / CONFIGURATION_NAME,
        root_fingerprint=hierarchy.root.certificate.fingerprint(hashes.SHA256()).hex(),
        issuer_id=hierarchy.issuing.key_id,
    )


def _judged(blueprint: Blueprint) -> Publication:
    """Judge what can be judged before anything is made; return where the authority publishes."""
    Tree(blueprint.suffix, StartTls.OFFERED)
    try:
        AuthorityName(organization=blueprint.authority, common_name=blueprint.authority)
    except ProfileRefused as error:
        raise ConfigurationRefused(
            key="--name", reason=f"{blueprint.authority!r} is refused", remedy=error.reason
        ) from error
    try:
        return Publication(blueprint.public_url)
    except ProfileRefused as error:
        raise ConfigurationRefused(
            key="--public-url",
            reason=f"{blueprint.public_url!r} {error.reason}",
            remedy="give a URL such as http://pki.hospital.org",
        ) from error


@contextmanager
def _refusing_a_founded_database() -> Iterator[None]:
    try:
        yield
    except AlreadyExists as error:
        raise ConfigurationRefused(
            key="--database",
            reason="the database holds an installation already",
            remedy="give another; or, if its folder is still named DIR.initializing-…, rename that",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """What root and issuing CA are made with."""

    signers: Signers
    publication: Publication
    linter: Linter
    scheme: SignatureScheme
    now: datetime

    def issuer(self, certificate: x509.Certificate, key: MadeKey) -> Issuer:
        """Return the issuer that a certificate makes of a key."""
        return Issuer(certificate, key.signer, self.publication, self.linter, scheme=self.scheme)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hierarchy:
    """Root and issuing CA, with their keys."""

    root: Issuer
    root_key: MadeKey
    issuing: Issuer
    issuing_key: MadeKey

    @classmethod
    def create(cls, blueprint: Blueprint, making: _Making) -> Self:
        """Make both; nothing is stored yet."""
        now, signers = making.now, making.signers
        authority, token_keys = blueprint.authority, blueprint.token and blueprint.token.keys

        def named(what: str) -> AuthorityName:
            name = f"{authority[:_LONGEST_IN_NAME].strip()} {what} {now.year}"
            return AuthorityName(organization=authority, common_name=name)

        profile, name = _profile(Purpose.ROOT_CA), named("Root CA")
        in_token = token_keys in {TokenKeys.ALL, TokenKeys.ROOT}
        root_key = signers.make_key(profile.key_algorithm, name.common_name, in_token=in_token)
        root_certificate = certify_root(
            root_key.signer, profile, name, now, making.linter, scheme=making.scheme
        )
        root = making.issuer(root_certificate, root_key)

        profile, name = _profile(Purpose.ISSUING_CA), named("Issuing CA")
        in_token = token_keys in {TokenKeys.ALL, TokenKeys.ISSUING}
        issuing_key = signers.make_key(profile.key_algorithm, name.common_name, in_token=in_token)
        certificate = create_issuing(root, profile, name, issuing_key.signer.public_key, now)
        issuing = making.issuer(certificate, issuing_key)
        return cls(root=root, root_key=root_key, issuing=issuing, issuing_key=issuing_key)

    async def record(self, installation: Installation, actor: str) -> None:
        """Store both and an audit key, sealed, and the master key's name, as one durable transaction."""
        now = installation.clock.now()
        made: tuple[tuple[Issuer, MadeKey, Purpose, str | None], ...] = (
            (self.root, self.root_key, Purpose.ROOT_CA, None),
            (self.issuing, self.issuing_key, Purpose.ISSUING_CA, self.root.key_id),
        )
        created = [
            (
                installation.stored_issuer(
                    issuer,
                    key.kept,
                    purpose=purpose,
                    parent_id=parent_id,
                    active_from=now if purpose is Purpose.ISSUING_CA else None,
                ),
                (
                    AuditEvent(
                        kind=AuditKind.ISSUER_KEY_MADE,
                        at=now,
                        actor=actor,
                        subject=issuer.key_id,
                        detail={"algorithm": algorithm_of(key.signer.public_key).value, **key.place},
                    ),
                    AuditEvent(
                        kind=AuditKind.ISSUER_CREATED,
                        at=now,
                        actor=actor,
                        subject=issuer.key_id,
                        detail={"name": issuer.name.rfc4514_string()},
                    ),
                ),
            )
            for issuer, key, purpose, parent_id in made
        ]
        key_id = installation.sealer.active_key_id
        event = AuditEvent(kind=AuditKind.SERVICE_INITIALIZED, at=now, actor=actor, subject=key_id)
        audit_key = first_audit_key(installation.sealer, at=now, actor=actor)
        await installation.founding.found(key_id, created, audit_key, event)


def _profile(purpose: Purpose) -> Profile:
    return Profile.from_config(ProfileConfig.standard(purpose))


def _make_tls(folder: Path, clock: Clock, linter: Linter) -> None:
    certificate, key = create_tls_server(_LOCAL_HOSTS, clock.now(), linter)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / TLS_KEY_NAME, pem)
    (folder / TLS_CERTIFICATE_NAME).write_bytes(certificate.public_bytes(Encoding.PEM))


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
{_token_section(blueprint.token)}[ca]
# Where certificates say that CRLs and issuer certificates are fetched.
public_url = {_quoted(blueprint.public_url)}
{_signature_line(blueprint.signature)}
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


def _token_section(token: TokenPlan | None) -> str:
    if token is None:
        return ""
    return f"""[pkcs11]
module = {_quoted(str(token.module))}
label = {_quoted(token.label)}
pin_file = {_quoted(str(token.pin_file))}

"""


def _signature_line(scheme: SignatureScheme | None) -> str:
    return "" if scheme is None else f'signature = "{scheme.value}"\n'


def _path_line(key: str, path: Path | None) -> str:
    return "" if path is None else f"{key} = {_quoted(str(path))}\n"


def _quoted(text: str) -> str:
    # A TOML basic string (TOML 1.0): JSON's escapes are a subset of its own.
    return json.dumps(text, ensure_ascii=False)
