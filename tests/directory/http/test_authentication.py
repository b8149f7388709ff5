from ipaddress import ip_network

import httpx
import pytest

from directory.http.services import HttpSettings
from directory.tokens import TokenKind, issue_token
from tests.directory.http.house import GATEWAY, House, bearer

QUESTION = "/certificates?email=alice%40example.com"
BEHIND_PROXY = HttpSettings(trusted_proxies=frozenset({ip_network("10.0.0.0/8")}))


async def answer(
    house: House,
    headers: dict[str, str] | list[tuple[str, str]],
    *,
    settings: HttpSettings | None = None,
    peer: str = "127.0.0.1",
    scheme: str = "http",
) -> httpx.Response:
    async with house.client(settings, peer=peer, scheme=scheme) as client:
        return await client.get(QUESTION, headers=headers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_name_of_the_scheme_is_read_in_any_case(house: House, scheme: str) -> None:
    response = await answer(house, {"Authorization": f"{scheme} {GATEWAY.text}"})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "token",
    [issue_token(TokenKind.GATEWAY).text, "x", f"{GATEWAY.text}0", "a" * 4000],
    ids=["unknown", "short", "altered", "long"],
)
async def test_a_bad_token_does_not_become_an_anonymous_caller(house: House, token: str) -> None:
    response = await answer(house, bearer(token))

    assert (response.status_code, response.json()["code"]) == (401, "auth.invalid_token")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="pushpki", error="invalid_token"'


@pytest.mark.parametrize(
    "value", ["Basic Z3c6eA==", "Digest x", "", GATEWAY.text], ids=["basic", "digest", "empty", "bare"]
)
async def test_another_scheme_is_answered_with_ours(house: House, value: str) -> None:
    response = await answer(house, {"Authorization": value})

    assert (response.status_code, response.json()["code"]) == (401, "auth.required")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="pushpki"'


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer a b", "Bearer t{o}ken", 'Bearer "x"', "Bearer x,y"]
)
async def test_malformed_credentials_are_refused_as_such(house: House, value: str) -> None:
    response = await answer(house, [("Authorization", value)])

    assert (response.status_code, response.json()["code"]) == (400, "auth.malformed")


async def test_two_authorization_headers_are_refused_even_if_one_is_good(house: House) -> None:
    headers = [("Authorization", f"Bearer {GATEWAY.text}"), ("Authorization", "Bearer x")]

    assert (await answer(house, headers)).json()["code"] == "auth.malformed"


async def test_a_token_in_clear_from_afar_is_refused_before_it_is_looked_at(house: House) -> None:
    good = await answer(house, bearer(GATEWAY.text), peer="192.0.2.7")
    bad = await answer(house, bearer("nonsense"), peer="192.0.2.7")

    assert (good.status_code, good.json()["code"]) == (403, "http.tls_required")
    assert good.content == bad.content


async def test_a_token_over_tls_is_welcome_from_anywhere(house: House) -> None:
    assert (await answer(house, bearer(GATEWAY.text), peer="192.0.2.7", scheme="https")).status_code == 200


async def test_a_switch_refuses_tokens_in_clear_from_this_machine_too(house: House) -> None:
    strict = HttpSettings(credentials_in_clear_from_loopback=False)

    assert (await answer(house, bearer(GATEWAY.text), settings=strict)).status_code == 403


async def test_nobody_is_invited_to_send_a_token_in_clear(house: House) -> None:
    response = await answer(house, {}, peer="192.0.2.7")

    assert (response.status_code, response.json()["code"]) == (403, "http.tls_required")
    assert "WWW-Authenticate" not in response.headers


async def test_a_trusted_proxy_vouches_for_tls(house: House) -> None:
    forwarded = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", **bearer(GATEWAY.text)}

    assert (await answer(house, forwarded, settings=BEHIND_PROXY, peer="10.0.0.1")).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.66", "127.0.0.1"])
async def test_nobody_else_vouches_for_tls(house: House, peer: str) -> None:
    forwarded = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", **bearer(GATEWAY.text)}

    response = await answer(house, forwarded, settings=BEHIND_PROXY, peer=peer)

    assert response.json()["code"] == "http.tls_required"


@pytest.mark.parametrize("name", ["access_token", "token", "x"])
async def test_a_token_in_the_query_is_refused_under_any_name(house: House, name: str) -> None:
    async with house.client() as client:
        response = await client.get(f"{QUESTION}&{name}={GATEWAY.text}")

    assert (response.status_code, response.json()["code"]) == (400, "http.token_in_query")
    assert GATEWAY.text not in response.text


async def test_the_name_that_rfc_6750_gives_a_token_in_the_query_is_refused_whatever_it_holds(
    house: House,
) -> None:
    async with house.client() as client:
        response = await client.get(f"{QUESTION}&access_token=x")

    assert response.json()["code"] == "http.token_in_query"
