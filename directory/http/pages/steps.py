"""Which steps lead to the key on which device, with which picture, and what is fetched at which of them?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType

from markupsafe import Markup

from directory.http.pages.rendering import Voice
from directory.platforms import Platform
from directory.recipient import KEY_FILE_NAME

UNKNOWN_DEVICE = Platform.WINDOWS
"""Whose steps are shown where the browser does not say what it runs on."""


@unique
class File(Enum):
    """What can be fetched through a link; the value is the last part of its address."""

    KEY = "key.p12"
    PROFILE = "key.mobileconfig"
    AUTHORITY = "authority.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A button that fetches a file."""

    link: str
    text: Markup
    is_main: bool = False
    """Whether it is what most should fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, as it is shown."""

    picture: str
    text: Markup
    offers: Sequence[Offer] = ()


_PICTURES: Mapping[Platform, Sequence[str]] = MappingProxyType(
    {
        Platform.WINDOWS: ("file", "wizard", "password", "trust", "mail"),
        Platform.MAC: ("file", "wizard", "password", "mail"),
        Platform.IPHONE: ("file", "settings", "password", "switch", "mail"),
        Platform.ANDROID: ("app", "file", "settings", "password"),
        Platform.THUNDERBIRD: ("file", "program", "password", "trust"),
        Platform.LINUX: ("file", "program", "password", "mail"),
    }
)
_OFFERS: Mapping[Platform, Sequence[tuple[int, File, str]]] = MappingProxyType(
    {
        Platform.WINDOWS: ((0, File.KEY, "download"),),
        Platform.MAC: ((0, File.PROFILE, "download_profile"), (0, File.KEY, "download_file")),
        Platform.IPHONE: ((0, File.PROFILE, "download_profile"), (0, File.KEY, "download_file")),
        Platform.ANDROID: ((1, File.KEY, "download"),),
        # Nothing has to be trusted to read mail, but the authority to write any.
        Platform.THUNDERBIRD: ((0, File.KEY, "download"), (3, File.AUTHORITY, "authority")),
        Platform.LINUX: ((0, File.KEY, "download"),),
    }
)
"""At which step what is fetched, the best first."""

_IN_OTHER_FORMAT = {File.KEY: "other_file", File.PROFILE: "other_profile"}

# No password in any of them: it would stay in the history of commands, and everybody on the machine sees it.
_POWERSHELL = (
    f"Import-PfxCertificate -FilePath {KEY_FILE_NAME} -CertStoreLocation Cert:\\CurrentUser\\My "
    "-Exportable -Password (Read-Host -AsSecureString)"
)
_SECURITY = f"security import {KEY_FILE_NAME} -f pkcs12"
_PK12UTIL = f"pk12util -i {KEY_FILE_NAME} -d sql:$HOME/.pki/nssdb"
_GPGSM = f"gpgsm --import {KEY_FILE_NAME}"

COMMANDS: Mapping[Platform, Sequence[tuple[str, str]]] = MappingProxyType(
    {
        Platform.WINDOWS: (("powershell", _POWERSHELL),),
        Platform.MAC: (("security", _SECURITY),),
        Platform.IPHONE: (),
        Platform.ANDROID: (),
        Platform.THUNDERBIRD: (("pk12util", _PK12UTIL),),
        Platform.LINUX: (("gpgsm", _GPGSM), ("pk12util", _PK12UTIL)),
    }
)
"""What experts type instead, by the name of its text."""


def steps_for(platform: Platform, speaking: Voice, folder: str) -> list[Step]:
    """Return the steps for a device; `folder` is where the files are, relative to the page."""
    texts = speaking.words.steps(platform.value, speaking.variables)
    return [
        Step(picture=picture, text=text, offers=_offers_at(place, platform, speaking, folder))
        for place, (picture, text) in enumerate(zip(_PICTURES[platform], texts, strict=True))
    ]


def other_format_for(platform: Platform, speaking: Voice, folder: str, package_format: str) -> list[Offer]:
    """Return what a device that calls the password wrong is offered."""
    return [
        Offer(
            link=f"{folder}/{file.value}?format={package_format}",
            text=speaking.say(f"install.{_IN_OTHER_FORMAT[file]}"),
        )
        for _, file, _ in _OFFERS[platform]
        if file in _IN_OTHER_FORMAT
    ]


def _offers_at(step: int, platform: Platform, speaking: Voice, folder: str) -> Sequence[Offer]:
    return [
        Offer(link=f"{folder}/{file.value}", text=speaking.say(f"install.{name}"), is_main=rank == 0)
        for rank, (place, file, name) in enumerate(_OFFERS[platform])
        if place == step
    ]
