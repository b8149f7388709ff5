import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.bounces.addresses import read_plain_address, read_typed_address

ANNA = "anna+inbox@example.org"


@pytest.mark.parametrize(
    "field",
    [
        "rfc822; anna+inbox@example.org",
        "RFC822;Anna+Inbox@EXAMPLE.ORG",
        "rfc822;<anna+inbox@example.org>",
        "rfc822;anna+2Binbox@example.org",
        "utf-8; anna+inbox@example.org",
        "anna+inbox@example.org",
    ],
)
def test_reads_every_spelling(field: str) -> None:
    assert ANNA in read_typed_address(field)


def test_reads_characters_beyond_ascii() -> None:
    assert read_typed_address(r"utf-8; a@s\x{FC}d.example.org") == {"a@xn--sd-xka.example.org"}


@pytest.mark.parametrize(
    "field",
    [
        "utf-8; jörg+x@example.org",
        r"utf-8; j\x{F6}rg\x{2B}x@example.org",
        "utf-8; j+C3+B6rg+2Bx@example.org",
        "rfc822; j+C3+B6rg+2Bx@example.org",
        "UTF-8;<Jörg+x@EXAMPLE.ORG>",
    ],
)
def test_reads_every_spelling_of_a_local_part_beyond_ascii(field: str) -> None:
    assert "jörg+x@example.org" in read_typed_address(field)


@pytest.mark.parametrize("field", ["rfc822; j+F6rg@example.org", r"utf-8; j\x{D800}rg@example.org"])
def test_guesses_at_no_other_encoding(field: str) -> None:
    assert {key for key in read_typed_address(field) if not key.isascii()} == set()


@pytest.mark.parametrize(
    "field", ["", ";", "x400; /C=de/", "rfc822; nobody", "rfc822; a@b@c.example", "rfc822;" + "a" * 5000]
)
def test_what_is_no_address_of_ours_names_nobody(field: str) -> None:
    assert read_typed_address(field) == frozenset()


def test_reads_a_bare_address() -> None:
    assert read_plain_address("<Anna+inbox@example.org>") == {ANNA}


@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    assert all("@" in key for key in read_typed_address(text) | read_plain_address(text))
