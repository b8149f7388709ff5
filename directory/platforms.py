"""On what device is a page being read? As far as the browser says so, for the steps that are shown first.

A guess, and only ever a guess: whoever reads may choose another device. Nothing hangs on it but the order of
what is shown.
"""

from enum import StrEnum, unique

_LONGEST_USER_AGENT = 512


@unique
class Platform(StrEnum):
    """What a key is set up on; the value stands in addresses of pages."""

    WINDOWS = "windows"
    MAC = "mac"
    IPHONE = "iphone"
    """iPhone and iPad: the same steps."""
    ANDROID = "android"
    THUNDERBIRD = "thunderbird"
    """Thunderbird, on any computer."""
    LINUX = "linux"


_BY_HINT = {
    "windows": Platform.WINDOWS,
    "macos": Platform.MAC,
    "ios": Platform.IPHONE,
    "android": Platform.ANDROID,
    "linux": Platform.LINUX,
    "chrome os": Platform.LINUX,
    "chromium os": Platform.LINUX,
}
"""Values of `Sec-CH-UA-Platform` (User-Agent Client Hints section 3.8), in lower case."""

# In this order: an Android says Linux as well, and some programs on Windows Phone said Android and iPhone.
_BY_WORD = (
    ("windows", Platform.WINDOWS),
    ("iphone", Platform.IPHONE),
    ("ipad", Platform.IPHONE),
    ("ipod", Platform.IPHONE),
    ("android", Platform.ANDROID),
    ("macintosh", Platform.MAC),
    ("mac os x", Platform.MAC),
    ("linux", Platform.LINUX),
    ("x11", Platform.LINUX),
    ("cros", Platform.LINUX),
)


def recognize(user_agent: str, platform_hint: str = "") -> Platform | None:
    """Return the device of a browser, by its `User-Agent` and `Sec-CH-UA-Platform`; None if neither tells.

    An iPad whose browser asks for pages as a Mac does cannot be told from one: the page of the Mac offers the
    way to the other.
    """
    hinted = _BY_HINT.get(platform_hint.strip().strip('"').lower())
    if hinted is not None:
        return hinted
    words = user_agent[:_LONGEST_USER_AGENT].lower()
    if "thunderbird/" in words:
        return Platform.THUNDERBIRD
    return next((platform for word, platform in _BY_WORD if word in words), None)


def chosen(name: str | None) -> Platform | None:
    """Return the device that somebody chose by its name; None if there is no such device."""
    return next((platform for platform in Platform if platform.value == name), None)
