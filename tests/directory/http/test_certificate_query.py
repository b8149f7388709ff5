import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import AddressRefused
from directory.http.certificate_query import (
    AddressQuery,
    IssuerAttribute,
    IssuerQuery,
    parse_certificate_query,
)
from directory.http.problems import ProblemRaised, report_of

# RFC 4387 section 2.6: this hash is written like that.
RFC_HASH = bytes.fromhex("964C70C41EC908E5CA452510D6C8283A1AC1DFE2")
RFC_TEXT = "lkxwxB7JCOXKRSUQ1sgoOhrB3+I"


def refusal_of(query: bytes) -> str:
    with pytest.raises((ProblemRaised, AddressRefused)) as raised:
        parse_certificate_query(query)
    return report_of(raised.value).problem.code


@pytest.mark.parametrize(
    "query", [b"email=alice%40example.com", b"uri=alice%40example.com", b"uri=alice@example.com"]
)
def test_an_address_is_asked_for_by_either_name(query: bytes) -> None:
    assert parse_certificate_query(query) == AddressQuery(mailbox=Mailbox.parse("alice@example.com"))


def test_the_hash_of_the_rfc_is_read_as_the_rfc_says() -> None:
    query = parse_certificate_query(f"certHash={quote(RFC_TEXT, safe='')}".encode())

    assert query == IssuerQuery(attribute=IssuerAttribute.CERTIFICATE_HASH, value=RFC_HASH)


@pytest.mark.parametrize(
    "value",
    [
        RFC_TEXT,  # its + arrives as a space
        quote(f"{RFC_TEXT}=", safe=""),
        "abc%3D",
        "",
        "A" * 26,
        "A" * 28,
        "A" * 26 + "-",
        "A" * 26 + "B",  # not what 20 octets are written as
        "%C3%A9" + "A" * 26,
    ],
)
def test_a_hash_has_exactly_one_spelling(value: str) -> None:
    assert refusal_of(f"sHash={value}".encode()) == "http.malformed_hash"


@given(
    st.binary(min_size=20, max_size=20),
    st.sampled_from(sorted(set(IssuerAttribute) - {IssuerAttribute.NAME})),
)
def test_every_hash_is_read_back(digest: bytes, attribute: IssuerAttribute) -> None:
    text = base64.b64encode(digest).decode().rstrip("=")

    query = parse_certificate_query(f"{attribute.value}={quote(text, safe='')}".encode())

    assert query == IssuerQuery(attribute=attribute, value=digest)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"", "http.missing_attribute"),
        (b"x=1", "http.missing_attribute"),
        (b"EMAIL=alice%40example.com", "http.missing_attribute"),
        (b"email", "address.empty"),
        (b"email=", "address.empty"),
        (b"email=%FF%FE%40example.com", "http.malformed_query"),
        (b"email=alice\xe9@example.com", "http.malformed_query"),
        (b"x=%FF&email=alice%40example.com", "http.malformed_query"),
        (b"email=" + b"a" * 250 + b"%40example.com", "address.too_long"),
        (b"email=" + b"a" * 4000, "http.malformed_query"),
        (b"&".join([b"x=1"] * 100), "http.malformed_query"),
        (b"uri=mailto:alice%40example.com", "address.syntax"),
        (b"email=alice+tag%40example.com", "address.white_space"),
    ],
)
def test_what_is_no_question_is_refused(query: bytes, code: str) -> None:
    assert refusal_of(query) == code


@given(st.binary(max_size=300))
def test_any_octets_are_one_question_or_one_refusal(query: bytes) -> None:
    parsed: object = None
    with suppress(ProblemRaised, AddressRefused):
        parsed = parse_certificate_query(query)

    assert isinstance(parsed, AddressQuery | IssuerQuery | None)
