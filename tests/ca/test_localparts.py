"""Addresses beyond ASCII: what is accepted, what is refused, and which of them are the same recipient."""

import contextlib
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca import localparts
from ca.address import AddressRefusal, Mailbox
from ca.errors import AddressRefused

NAMES = [
    "jörg",
    "Jörg.Müller+Praxis",
    "用户",
    "οδυσσέας",
    "ΣΊΣΥΦΟΣ",
    "İsmail",
    "ẞ",
    "пользователь",
    "हिन्दी",
    "ก็",
    "한글",
    "カタカナ",
    "محمد1",
    "محمد٣",
    "דוד",
    "ä" * 32,
]


def refusal_of(local_part: str) -> AddressRefusal:
    with pytest.raises(AddressRefused) as refused:
        Mailbox.parse_international(f"{local_part}@example.org")
    return AddressRefusal(refused.value.code)


@pytest.mark.parametrize("local_part", NAMES)
def test_accepts_what_names_are_made_of(local_part: str) -> None:
    mailbox = Mailbox.parse_international(f"{local_part}@Example.ORG")
    assert str(mailbox) == f"{local_part}@example.org"
    assert mailbox.is_international


@pytest.mark.parametrize("local_part", NAMES)
def test_nobody_accepts_it_who_did_not_say_so(local_part: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        Mailbox.parse(f"{local_part}@example.org")
    assert refused.value.code == AddressRefusal.NON_ASCII_LOCAL_PART
    assert local_part not in f"{refused.value!r}"


def test_an_ascii_local_part_is_not_international_whatever_the_domain() -> None:
    assert not Mailbox.parse_international("anna@münchen.example").is_international


@pytest.mark.parametrize(
    "local_part",
    [
        "☃",  # a symbol
        "🙂",
        "a·b",  # punctuation
        "l·l",
        "用户。net",
        "カ・タ",
        "½",
        "Ⅷ",  # a number that is no digit
        "\uff41nna",  # full-width
        "ﬁlm",  # a compatibility form
        "\u017f",  # to some, the letter s
        "ǅ",
        "a\u3164b",  # letters and marks that nobody sees
        "a\u115fb",
        "a\ufe0fb",
        "a\u034fb",
        "\u17b4ក",
        "\u0301a",  # marks on nothing
        "a.\u0301b",
        "я+\u0315",
        "م٣۴",  # digits of two scripts that look alike
        "aم",  # of two directions
        "1م",
    ],
)
def test_refuses_what_is_of_no_name(local_part: str) -> None:
    assert refusal_of(local_part) is AddressRefusal.LOCAL_PART_CHARACTER


@pytest.mark.parametrize("local_part", ["jo\u0308rg", "\u212aelvin", "A\u030angstrom", "\u1112\u1161\u11ab"])
def test_repairs_nothing_that_is_not_in_its_normal_form(local_part: str) -> None:
    expected = {AddressRefusal.LOCAL_PART_NOT_NORMAL, AddressRefusal.LOCAL_PART_CHARACTER}
    assert refusal_of(local_part) in expected


def test_refuses_what_is_normal_in_one_case_only() -> None:
    assert Mailbox.parse_international("ǰ@example.org").key == "ǰ@example.org"
    assert refusal_of("J\u030c") is AddressRefusal.LOCAL_PART_NOT_NORMAL


@pytest.mark.parametrize(
    ("local_part", "refusal"),
    [
        ("-ä", AddressRefusal.SYNTAX),
        ("ä..b", AddressRefusal.SYNTAX),
        (".ä", AddressRefusal.SYNTAX),
        ("ä*", AddressRefusal.SYNTAX),
        ("ä,b", AddressRefusal.SYNTAX),
        ('"ä"', AddressRefusal.QUOTED_LOCAL_PART),
        ("ä%b", AddressRefusal.SOURCE_ROUTE),
        ("=?utf-8?q?ä", AddressRefusal.ENCODED_WORD),
        ("ä b", AddressRefusal.WHITE_SPACE),
        ("ä\u3000b", AddressRefusal.WHITE_SPACE),
        ("ä\u200db", AddressRefusal.CONTROL_CHARACTER),
        ("ä\u202eb", AddressRefusal.CONTROL_CHARACTER),
        ("\ue000", AddressRefusal.CONTROL_CHARACTER),
        ("\ud800", AddressRefusal.CONTROL_CHARACTER),
        ("ä\r\nb", AddressRefusal.CONTROL_CHARACTER),
    ],
)
def test_the_rules_for_ascii_hold_beside_it(local_part: str, refusal: AddressRefusal) -> None:
    assert refusal_of(local_part) is refusal


def test_bounds_octets_not_characters() -> None:
    assert refusal_of("ä" * 33) is AddressRefusal.TOO_LONG
    assert refusal_of("用" * 22) is AddressRefusal.TOO_LONG
    domain = ".".join(["x" * 60] * 3)
    longest = f"{'ä' * 32}@{domain}.{'y' * (254 - 65 - len(domain) - 1)}"
    assert len(longest.encode()) == 254
    assert str(Mailbox.parse_international(longest)) == longest
    with pytest.raises(AddressRefused) as refused:
        Mailbox.parse_international(f"{longest}y")
    assert refused.value.code == AddressRefusal.TOO_LONG


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jörg", "JÖRG"),  # beyond ASCII, every octet counts
        ("ß", "ss"),
        ("ß", "ẞ"),
        ("\u03c3", "\u03c2"),
        ("\u0131", "i"),
        ("İ", "i"),
        ("\u0430", "a"),
        ("jörg", "jorg"),
    ],
)
def test_nothing_beyond_ascii_is_folded_into_one_recipient(one: str, other: str) -> None:
    keys = {Mailbox.parse_international(f"{each}@example.org").key for each in (one, other)}
    assert len(keys) == 2


def test_the_ascii_letters_beside_it_are_folded() -> None:
    one, other = (Mailbox.parse_international(f"{each}@example.org") for each in ("JöRG", "jörg"))
    assert one.key == other.key


def test_all_cases_share_one_rate_limit() -> None:
    spellings = ("JÖRG", "jörg", "j.ö.rg+x")
    assert {Mailbox.parse_international(f"{one}@example.org").base_key for one in spellings} == {
        "jörg@example.org"
    }


@pytest.mark.parametrize("local_part", ["ΐ" * 32, "ΰ" * 32, "ß" * 32, "İ" * 32, "ẞ" * 21])
def test_no_key_is_longer_than_an_address(local_part: str) -> None:
    domain = ".".join(["x" * 60, "x" * 60, "x" * 60, "y" * 5])
    mailbox = Mailbox.parse_international(f"{local_part}@{domain}")
    assert len(mailbox.base_key) <= 254
    assert len(mailbox.key.encode()) <= 254


@given(st.text(max_size=70))
def test_answers_any_local_part_with_a_canonical_mailbox_or_a_refusal(local_part: str) -> None:
    try:
        mailbox = Mailbox.parse_international(f"{local_part}@example.org")
    except AddressRefused:
        return
    assert mailbox.local_part == local_part
    assert Mailbox.parse_international(str(mailbox)) == mailbox
    assert Mailbox.parse_international(mailbox.key).key == mailbox.key
    assert len(local_part.encode()) <= 64
    assert len(mailbox.base_key) <= len(str(mailbox).encode())
    assert unicodedata.normalize("NFKC", local_part) == local_part
    assert str(mailbox).isprintable()


@given(
    st.text(
        st.characters(categories=["Lu", "Ll", "Lo", "Lm", "Mn", "Mc", "Nd"], min_codepoint=128),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_accepted_is_made_of_letters_digits_and_marks_on_them(local_part: str) -> None:
    try:
        Mailbox.parse_international(f"{local_part}@example.org")
    except AddressRefused:
        return
    categories = [unicodedata.category(one) for one in local_part]
    assert set(categories) <= {"Lu", "Ll", "Lo", "Lm", "Mn", "Mc", "Nd"}
    assert not categories[0].startswith("M")


def test_no_character_that_is_accepted_is_invisible() -> None:
    """Of every code point there is: Default_Ignorable_Code_Point (DerivedCoreProperties.txt of Unicode)."""
    ignorable = (
        *(0xAD, 0x34F, 0x61C, 0x3164, 0xFEFF, 0xFFA0),
        *range(0x115F, 0x1161),
        *range(0x17B4, 0x17B6),
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xFFF0, 0xFFF9),
        *range(0x1BCA0, 0x1BCA4),
        *range(0x1D173, 0x1D17B),
        *range(0xE0000, 0xE1000),
    )
    assert [hex(point) for point in ignorable if localparts.is_acceptable(f"ä{chr(point)}")] == []


@pytest.mark.parametrize("pattern", ["ü", "用", "\u0628\u0300", "م", "٣", "a\u0300", "İ"])
def test_decides_about_the_longest_hostile_local_part_within_5_ms(pattern: str) -> None:
    text = f"{(pattern * 64)[:64]}@example.org"

    def elapsed() -> float:
        started = time.perf_counter()
        with contextlib.suppress(AddressRefused):
            Mailbox.parse_international(text)
        return time.perf_counter() - started

    assert min(elapsed() for _ in range(5)) < 0.005


def test_what_a_newer_unicode_accepted_can_still_be_read() -> None:
    unknown = next(
        chr(point) for point in range(0x1E4D0, 0x2FFFF) if unicodedata.category(chr(point)) == "Cn"
    )

    assert refusal_of(f"a{unknown}") is AddressRefusal.CONTROL_CHARACTER
    stored = Mailbox(local_part=f"a{unknown}", domain="example.org")
    assert stored.key == f"a{unknown}@example.org"


@pytest.mark.parametrize("one", ["\x85", "\u200b", "\u2028", "\ue000", "\u00a0", "\u2603", "\uff20"])
def test_what_no_unicode_accepts_cannot_be_constructed(one: str) -> None:
    with pytest.raises(AddressRefused):
        Mailbox(local_part=f"a{one}", domain="example.org")
