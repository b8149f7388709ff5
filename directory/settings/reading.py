"""How is the configuration read? One file, the environment over it, once, in `__main__`.

Unknown keys are errors: a misspelt setting must not be silently without effect. No setting holds a secret;
secrets are in files, and settings say where.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from directory.errors import ConfigurationRefused
from directory.settings.sections import ENVIRONMENT_PREFIX, Settings

CONFIGURATION_VARIABLE = "PUSHPKI_CONFIG"
DEFAULT_FILE = Path("pushpki.toml")


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


def read_secret_text(key: str, path: Path) -> str:
    """Return the content of a secret's file that must be text, such as a password for somebody else.

    Raises:
        ConfigurationRefused: it is missing, empty, readable by others, or not UTF-8.
    """
    try:
        return read_secret_file(key, path).decode()
    except UnicodeDecodeError:
        # `from None`: the error holds the secret.
        raise ConfigurationRefused(key=key, reason=f"{path} is not UTF-8") from None


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
    ("ca", "key_pool_ledger"),
    ("tls", "certificate"),
    ("tls", "key"),
    ("ldap", "client_ca_file"),
    ("delivery", "ca_file"),
    ("pages", "signing_certificate"),
    ("pages", "signing_key"),
    ("delivery", "templates"),
    ("audit", "heads_file"),
    ("cps", "statements"),
    ("webhook", "ca_file"),
    ("pkcs11", "module"),
    ("pkcs11", "pin_file"),
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
