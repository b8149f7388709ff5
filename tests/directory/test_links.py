from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from directory.links import LinkPurpose, issue_link, read_link

EXPIRY = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_token_finds_its_link_and_shows_its_secret() -> None:
    token, link = issue_link(LinkPurpose.INSTALL, EXPIRY)

    presented = read_link(token)

    assert presented is not None
    assert presented.link_id == link.link_id
    assert presented.matches(link.digest)
    assert (link.purpose, link.expires_at) == (LinkPurpose.INSTALL, EXPIRY)


def test_the_secret_has_160_bits_and_is_not_stored() -> None:
    token, link = issue_link(LinkPurpose.PROOF, EXPIRY)

    assert len(token) == 16 + 32
    assert token.removeprefix(link.link_id).encode() not in link.digest
    assert token[16:] not in repr(link)
    presented = read_link(token)
    assert token[16:] not in repr(presented)


def test_tokens_differ() -> None:
    assert len({issue_link(LinkPurpose.STOP, EXPIRY)[0] for _ in range(1000)}) == 1000


def test_another_secret_does_not_match() -> None:
    token, link = issue_link(LinkPurpose.INSTALL, EXPIRY)
    other, _ = issue_link(LinkPurpose.INSTALL, EXPIRY)

    forged = read_link(token[:16] + other[16:])

    assert forged is not None
    assert not forged.matches(link.digest)


@given(st.text(max_size=60))
def test_anything_else_is_not_a_link(text: str) -> None:
    presented = read_link(text)

    assert presented is None or presented.link_id == text[:16]


def test_a_token_with_more_behind_it_is_not_one() -> None:
    token, _ = issue_link(LinkPurpose.INSTALL, EXPIRY)

    assert read_link(token + "\n") is None
    assert read_link(token.upper()) is None
    assert read_link(token + "a") is None
