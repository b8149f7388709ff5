"""What did the operator configure? One reader, one frozen value, read once in `__main__`, handed on narrowly.

A TOML file, overridden key by key by environment variables `PUSHPKI_SECTION__KEY`. Unknown keys are errors.
No setting holds a secret: secrets are in files, and settings say where.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ca.address import Mailbox
from ca.errors import AddressRefused
from ca.keys import KeyAlgorithm
from directory.access import AnonymousRead
from directory.errors import ConfigurationRefused
from directory.policy import RESERVED_DOMAINS, ROLE_LOCAL_PARTS

ENVIRONMENT_PREFIX = "PUSHPKI_"
CONFIGURATION_VARIABLE = "PUSHPKI_CONFIG"
DEFAULT_FILE = Path("pushpki.toml")


class ListenAddress(BaseModel):
    """A host and a port to listen on."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ip_address(self.host).is_loopback


def _listen_address(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]]+)):(\d{1,5})", value)
    if match is None:
        raise ValueError("give host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host, port = match[1] or match[2], int(match[3])
    if host != "localhost":
        ip_address(host)
    if port > 65535:  # noqa: PLR2004 - the largest TCP port
        raise ValueError("a port is at most 65535")
    return ListenAddress(host=host, port=port)


Listen = Annotated[ListenAddress, BeforeValidator(_listen_address)]


def _lower_case(value: object) -> object:
    return (
        [item.lower() if isinstance(item, str) else item for item in value]
        if isinstance(value, list)
        else value
    )


Names = Annotated[frozenset[str], BeforeValidator(_lower_case)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ServiceSettings(_Section):
    """[service] what this process is called, and what it says."""

    node: str = Field(default="node-1", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Names the node's chain in the audit log; different for every node of one database."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class DatabaseSettings(_Section):
    """[database] where everything durable is."""

    url: str = "sqlite:///pushpki.sqlite3"
    password_file: Path | None = None


class MasterKeySettings(_Section):
    """[master_key] what all secrets at rest are sealed under."""

    file: Path = Path("master.key")
    passphrase_file: Path | None = None


class CaSettings(_Section):
    """[ca] what is certified."""

    public_url: str = Field(default="http://pki.example.com", pattern=r"^http://[^\s?#]+[^\s?#/]$")
    """Where certificates say that CRLs and issuer certificates are fetched; http, RFC 5280 section 8."""
    profile: Literal["encryption", "dual"] = "encryption"
    key_algorithm: KeyAlgorithm = KeyAlgorithm.RSA_3072
    validity_days: int = Field(default=730, ge=1, le=824)
    policy_oid: str = "1.3.6.1.4.1.32473.1.1"
    key_pool_size: int = Field(default=64, ge=0, le=100_000)
    key_pool_threads: int = Field(default=0, ge=0, le=256)
    """0: as many as there are processor cores."""


class DirectorySettings(_Section):
    """[directory] what is shown, and to whom."""

    suffix: str = "o=directory"
    anonymous_read: AnonymousRead = AnonymousRead.LOOPBACK
    """From where a caller without credentials may look known certificates up: nobody, loopback, everyone."""
    credentials_in_clear_from_loopback: bool = True


class PolicySettings(_Section):
    """[policy] which addresses are never minted."""

    reserved_local_parts: Names = ROLE_LOCAL_PARTS
    reserved_domains: Names = RESERVED_DOMAINS


class LimitSettings(_Section):
    """[limits] how much may be minted; 0 switches a limit off."""

    gateway_burst: int = Field(default=100, ge=0)
    """Mints a gateway may cause at once, and then again per hour at an even rate."""
    gateway_per_day: int = Field(default=1_000, ge=0)
    organization_per_day: int = Field(default=5_000, ge=0)
    recipient_per_day: int = Field(default=3, ge=0)
    """Per mailbox, `+tag` and dots taken away."""
    domain_per_day: int = Field(default=500, ge=0)


class MintSettings(_Section):
    """[mint] how long a gateway waits."""

    patience_seconds: float = Field(default=1.8, gt=0, le=4)
    """Below the 5 s at which gateways give up."""
    retry_after_seconds: int = Field(default=5, ge=1, le=3600)


class TlsSettings(_Section):
    """[tls] the certificate of LDAPS, StartTLS and, where switched on, HTTPS."""

    certificate: Path | None = None
    key: Path | None = None


class HttpSection(_Section):
    """[http] the HTTP front end."""

    listen: Listen = ListenAddress(host="127.0.0.1", port=8080)
    tls: bool = False
    allowed_hosts: Names = frozenset()
    """Host names accepted in requests; empty: the listen address, localhost and the host of `public_url`."""


class LdapSection(_Section):
    """[ldap] LDAP with StartTLS."""

    listen: Listen = ListenAddress(host="127.0.0.1", port=3890)


class LdapsSection(_Section):
    """[ldaps] LDAP under TLS from the first byte."""

    listen: Listen = ListenAddress(host="127.0.0.1", port=6360)


class DeliverySection(_Section):
    """[delivery] how key mails are sent, and how long keys are held."""

    lifetime_days: float = Field(default=5, gt=0, le=30)
    """How long a key mail is tried before a human is told (RFC 5321 section 4.5.4.1)."""
    hold_days: float = Field(default=7, ge=0, le=365)
    concurrency: int = Field(default=8, ge=1, le=256)
    poll_seconds: float = Field(default=30, gt=0, le=3600)
    timeout_seconds: float = Field(default=60, gt=0, le=600)
    helo_name: str = Field(default="localhost", pattern=r"^[A-Za-z0-9.-]{1,253}$")
    ca_file: Path | None = None
    """Certificates that smart hosts may chain to, besides the system's."""
    allow_clear_beyond_loopback: bool = False


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=False,
        extra="forbid",
        frozen=True,
    )

    service: ServiceSettings = ServiceSettings()
    database: DatabaseSettings = DatabaseSettings()
    master_key: MasterKeySettings = MasterKeySettings()
    ca: CaSettings = CaSettings()
    directory: DirectorySettings = DirectorySettings()
    policy: PolicySettings = PolicySettings()
    limits: LimitSettings = LimitSettings()
    mint: MintSettings = MintSettings()
    tls: TlsSettings = TlsSettings()
    http: HttpSection = HttpSection()
    ldap: LdapSection = LdapSection()
    ldaps: LdapsSection = LdapsSection()
    delivery: DeliverySection = DeliverySection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; no other source."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def configuration_file(option: Path | None, environment: Mapping[str, str]) -> Path:
    """Return which file holds the configuration: the option, else $PUSHPKI_CONFIG, else ./pushpki.toml."""
    if option is not None:
        return option
    named = environment.get(CONFIGURATION_VARIABLE)
    return Path(named) if named else DEFAULT_FILE


def load_settings(file: Path) -> Settings:
    """Read the file and the environment; relative paths in it are relative to the file's folder.

    Raises:
        ConfigurationRefused: the file is missing or malformed, a key unknown, a value refused.
    """
    _refuse_unknown_variables(os.environ)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationRefused(
            key=str(file),
            reason="there is no such configuration file",
            remedy="run 'pushpki init --dir DIR', or name the file with --config or $PUSHPKI_CONFIG",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(key=str(file), reason=f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationRefused(key=str(file), reason=f"is not TOML: {error}") from error
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _refused(error.errors(include_url=False)[0], file) from None
    return _with_absolute_paths(settings, file.absolute().parent)


def read_secret_file(key: str, path: Path) -> bytes:
    """Return the content of a secret's file, without the line end.

    Raises:
        ConfigurationRefused: it is missing, empty, or readable by others.
    """
    try:
        status = path.stat()
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationRefused(key=key, reason=f"{path} cannot be read: {error.strerror}") from error
    if status.st_mode & 0o077:
        raise ConfigurationRefused(
            key=key, reason=f"{path} can be read by others", remedy=f"run 'chmod 600 {path}'"
        )
    secret = content.rstrip(b"\r\n")
    if not secret:
        raise ConfigurationRefused(key=key, reason=f"{path} is empty")
    return secret


def parse_mailbox(key: str, text: str) -> Mailbox:
    """Parse an address that an operator gave.

    Raises:
        ConfigurationRefused: it is not one.
    """
    try:
        return Mailbox.parse(text)
    except AddressRefused as error:
        raise ConfigurationRefused(key=key, reason=f"{text!r} is not an address: {error}") from error


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    # pydantic-settings overlooks a variable whose section it does not know: a misspelt setting would be
    # silently without effect.
    for variable in environment:
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIGURATION_VARIABLE:
            continue
        section, _, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        field = Settings.model_fields.get(section)
        model = field.annotation if field else None
        if not (isinstance(model, type) and issubclass(model, BaseModel) and key in model.model_fields):
            raise ConfigurationRefused(
                key=f"${variable}",
                reason="there is no such setting",
                remedy=f"settings are {ENVIRONMENT_PREFIX}SECTION__KEY",
            )


def _refused(error: ErrorDetails, file: Path) -> ConfigurationRefused:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return ConfigurationRefused(
            key=key,
            reason=f"there is no such setting (in {file} or the environment)",
            remedy="check its spelling",
        )
    value = error.get("input")
    shown = f"{value!r}: " if isinstance(value, str | int | float) else ""
    return ConfigurationRefused(key=key, reason=f"{shown}{error['msg'].removeprefix('Value error, ')}")


_PATHS = (
    ("database", "password_file"),
    ("master_key", "file"),
    ("master_key", "passphrase_file"),
    ("tls", "certificate"),
    ("tls", "key"),
    ("delivery", "ca_file"),
)


def _with_absolute_paths(settings: Settings, folder: Path) -> Settings:
    changes: dict[str, Any] = {}
    for section_name, key in _PATHS:
        section = changes.get(section_name, getattr(settings, section_name))
        path = getattr(section, key)
        if path is not None:
            changes[section_name] = section.model_copy(update={key: folder / path})
    database = settings.database
    prefix = "sqlite:///"
    if database.url.startswith(prefix):
        path = folder / database.url.removeprefix(prefix)
        changes["database"] = changes.get("database", database).model_copy(update={"url": f"{prefix}{path}"})
    return settings.model_copy(update=changes)
