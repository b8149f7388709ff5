"""What might be filled into a message? Invented values, for trying templates out, previews and tests.

Every way in which a message can turn out has a specimen, so that each branch of its templates is seen. No
specimen has ever been anybody's: the names are those that RFC 2606 reserves, and the tokens are no tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ca.passwords import Password
from directory.spelling import LetterCase, read_aloud, spell

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
        "renews_until": "",
        "file_name": "encryption-key.p12",
        "authority": "City Hospital Root CA",
        "has_attachment": "yes",
        "by_telephone": "yes",
        "test_mail": "yes",
        "install_url": INSTALL_URL,
        "install_until": "2026-11-29",
        "stop_url": STOP_URL,
        "key_kept": "",
        "key_signs": "",
    }
    return Specimen(name=name, variables=usual | deviations)


_ENROLMENT = "5f0c8c2a4d1e4b7f9a3d6e8b7c1a2f30"
# Made for this, and never given to anybody.
_CHARACTERS = "7K3QX-9M2TD-VB4NR-0HWZ8-5CEGJ"
_WORDS = "abacus-quiz"


def _password(name: str, password: str, language: str) -> Specimen:
    spelling = spell(Password(password), language)
    return Specimen(
        name=name,
        variables={
            "address": ADDRESS,
            "password": password,
            "spelling": "\n".join(read_aloud(spelling)),
            "capitals": "yes" if spelling.letters is LetterCase.CAPITALS else "",
            "enrolment_id": _ENROLMENT,
        },
    )


def _reminder(name: str, **deviations: str) -> Specimen:
    usual = {"address": ADDRESS, "file_name": "", "install_url": INSTALL_URL, "stop_url": STOP_URL}
    return Specimen(name=name, variables=usual | deviations)


_NOTICE = {
    "address": ADDRESS,
    "domain": ADDRESS.rpartition("@")[2],
    "minted_on": "2026-11-22",
    "expires_on": "2026-12-22",
    "enrolment_id": _ENROLMENT,
}

SPECIMENS: Mapping[str, tuple[Specimen, ...]] = {
    "key_package": (
        # As it is without pages for recipients: no page has to be reachable from outside.
        _key_package("attachment", install_url="", install_until="", stop_url="", test_mail=""),
        _key_package("link", has_attachment="", authority=""),
        _key_package("both"),
        _key_package("another-way", by_telephone="", authority=""),
        _key_package("kept", key_kept="yes"),
        _key_package("kept-signing", has_attachment="", key_kept="yes", key_signs="yes"),
        _key_package("renewal", renews_until="2026-12-22"),
    ),
    "proof": (
        Specimen(name="usual", variables={"address": ADDRESS, "prove_url": PROOF_URL, "stop_url": STOP_URL}),
    ),
    "reminder": (
        _reminder("link"),
        _reminder("attachment", file_name="encryption-key.p12", install_url=""),
        _reminder("key-gone", install_url=""),
    ),
    "password": (
        _password("characters", _CHARACTERS, "en"),
        _password("words", _WORDS, "en"),
    ),
    "key_recovered": (Specimen(name="usual", variables={"address": ADDRESS, "recovered_on": "2026-11-22"}),),
    "notice_bounced": (Specimen(name="usual", variables=_NOTICE),),
    "notice_paused": (Specimen(name="usual", variables=_NOTICE),),
    "notice_expiring": (Specimen(name="usual", variables=_NOTICE),),
    "notice_expired": (Specimen(name="usual", variables=_NOTICE),),
}
"""By message. What is here is tried out at start, shown by `pushpki mail preview`, and kept as snapshots."""
