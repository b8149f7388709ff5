import pytest

from directory.tokens import TokenKind, issue_token, read_token


@pytest.mark.parametrize("kind", list(TokenKind))
def test_a_token_read_back_matches_its_own_digest_only(kind: TokenKind) -> None:
    token, other = issue_token(kind), issue_token(kind)

    presented = read_token(token.text)

    assert presented is not None
    assert (presented.kind, presented.token_id) == (kind, token.token_id)
    assert presented.matches(token.digest)
    assert not presented.matches(other.digest)


def test_a_token_carries_at_least_128_bits_and_is_never_the_same() -> None:
    secrets = {issue_token(TokenKind.GATEWAY).text.split("_")[2] for _ in range(1000)}

    assert len(secrets) == 1000
    assert all(len(secret) * 4 >= 128 for secret in secrets)


def test_neither_secret_nor_text_shows_in_a_repr() -> None:
    token = issue_token(TokenKind.AGENT)
    secret = token.text.split("_")[2]

    assert secret not in repr(token)
    assert secret not in repr(read_token(token.text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ppgw",
        "ppgw_",
        "ppgw__",
        "ppgw_a_b_c",
        "xxxx_0123456789abcdef_00",
        "ppgw_0123 456_00",
        "ppgw_\u00e4\x00_00",
        "ppgw_0123456789abcdef_" + "0" * 200,
    ],
)
def test_what_has_not_the_form_of_a_token_is_none(text: str) -> None:
    assert read_token(text) is None
