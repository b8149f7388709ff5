from email import message_from_bytes

from hypothesis import given
from hypothesis import strategies as st

from directory.http.multipart import multipart_mixed


def parts_of(body: bytes, media_type: str) -> list[bytes]:
    """Take a body apart by RFC 2046 section 5.1.1: a boundary's CRLF belongs to the boundary."""
    boundary = media_type.partition("boundary=")[2].encode()
    opening, *middle, closing = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert (opening, closing) == (b"", b"--\r\n")
    return [part.removeprefix(b"\r\nContent-Type: application/pkix-cert\r\n\r\n") for part in middle]


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_any_octets_travel_verbatim(parts: list[bytes]) -> None:
    body, media_type = multipart_mixed(parts, "application/pkix-cert")

    assert parts_of(body, media_type) == parts


def test_the_boundary_is_in_no_part_even_if_one_was_made_for_it() -> None:
    _, first = multipart_mixed([b"a"], "application/pkix-cert")
    hostile = first.partition("boundary=")[2].encode()

    body, media_type = multipart_mixed([hostile, b"\r\n--" + hostile], "application/pkix-cert")

    assert parts_of(body, media_type) == [hostile, b"\r\n--" + hostile]


def test_a_mail_library_reads_it_too() -> None:
    body, media_type = multipart_mixed([b"first", b"second"], "application/pkix-cert")

    message = message_from_bytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + body)

    assert [part.get_payload() for part in message.walk() if not part.is_multipart()] == ["first", "second"]
    assert not message.defects


def test_the_same_parts_give_the_same_octets() -> None:
    assert multipart_mixed([b"a", b"b"], "x/y") == multipart_mixed([b"a", b"b"], "x/y")
