"""What might be filled into a message? Invented values, for trying templates out, previews and tests.

Every way in which a message can turn out has a specimen, so that each branch of its templates is seen. No
specimen has ever been anybody's: the names are those that RFC 2606 reserves, and the tokens are no tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ADDRESS = "jordan.doe@example.org"
PAGES = "https://keys.example.com"
_TOKEN = f"specimen{'0' * 44}"
INSTALL_URL = f"{PAGES}/install/{_TOKEN}"
PROOF_URL = f"{PAGES}/install/prove/{_TOKEN}"
STOP_URL = f"{PAGES}/install/stop/{_TOKEN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """The variables of a message that turns out in one of its ways."""

    name: str
    """Such as `attachment`; letters, digits and hyphens."""
    variables: Mapping[str, str]


def _key_package(name: str, **deviations: str) -> Specimen:
    usual = {
        "address": ADDRESS,
        "file_name": "encryption-key.p12",
        "authority": "City Hospital Root CA",
        "has_attachment": "yes",
        "by_telephone": "yes",
        "test_mail": "yes",
        "install_url": INSTALL_URL,
        "install_until": "2026-11-29",
        "stop_url": STOP_URL,
    }
    return Specimen(name=name, variables=usual | deviations)


SPECIMENS: Mapping[str, tuple[Specimen, ...]] = {
    "key_package": (
        # As it is without pages for recipients: no page has to be reachable from outside.
        _key_package("attachment", install_url="", install_until="", stop_url="", test_mail=""),
        _key_package("link", has_attachment="", authority=""),
        _key_package("both"),
        _key_package("another-way", by_telephone="", authority=""),
    ),
}
"""By message. What is here is tried out at start, shown by `pushpki mail preview`, and kept as snapshots."""
