import hashlib
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from directory.access import AnonymousRead
from directory.errors import StoreUnavailable
from directory.http.services import HttpSettings
from directory.lookup import Deferred
from directory.policy import Refusal
from tests.builders import Authority
from tests.ca.strangers import Stranger
from tests.directory.http.house import (
    AGENT,
    ALICE,
    GATEWAY,
    NOBODY_YET,
    READER,
    House,
    bearer,
)


def sha1_text(octets: bytes) -> str:
    """Write a hash as RFC 4387 section 2.1 does, ready for a URL."""
    digest = hashlib.sha1(octets, usedforsecurity=False).digest()
    return quote(b64encode(digest).decode().rstrip("="), safe="")


@pytest.mark.parametrize("path", ["/certificates", "/search.cgi"])
@pytest.mark.parametrize("attribute", ["uri", "email"])
async def test_h01_h02_a_certificate_is_fetched_by_uri_or_email_at_either_path(
    house: House, client: httpx.AsyncClient, path: str, attribute: str
) -> None:
    response = await client.get(f"{path}?{attribute}=alice%40example.com")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/pkix-cert"
    assert response.content == house.shelf.certificates[ALICE.key].der
    assert response.headers["Content-Length"] == str(len(response.content))
    assert "Content-Encoding" not in response.headers


async def test_h03_several_certificates_are_multipart_mixed(
    client: httpx.AsyncClient, authority: Authority
) -> None:
    name = sha1_text(authority.root.certificate.subject.public_bytes())

    response = await client.get(f"/certificates?iHash={name}")

    media_type, _, boundary = response.headers["Content-Type"].partition("; boundary=")
    _, first, second, closing = (b"\r\n" + response.content).split(b"\r\n--" + boundary.encode())
    assert (response.status_code, media_type, closing) == (200, "multipart/mixed", b"--\r\n")
    parts = {
        part.removeprefix(b"\r\nContent-Type: application/pkix-cert\r\n\r\n") for part in (first, second)
    }
    assert {x509.load_der_x509_certificate(part) for part in parts} == set(authority.chain)


async def test_h03_an_issuer_that_another_ca_certified_has_both_certificates(
    house: House, client: httpx.AsyncClient, authority: Authority
) -> None:
    root = authority.root.certificate
    other = Stranger("Another Root").certify(root.subject, root.public_key())
    house.catalogue.crossed[authority.root.key_id] = [other.public_bytes(Encoding.DER)]

    response = await client.get(f"/certificates?sHash={sha1_text(root.subject.public_bytes())}")

    assert response.headers["Content-Type"].startswith("multipart/mixed")
    for certificate in (root, other):
        assert certificate.public_bytes(Encoding.DER) in response.content


async def test_h04_an_issuer_is_fetched_by_the_hash_of_its_certificate(
    house: House, client: httpx.AsyncClient
) -> None:
    der = next(iter(house.catalogue.certificates.values()))

    response = await client.get(f"/certificates?certHash={sha1_text(der)}")

    assert response.content == der


async def test_a_recipients_certificate_is_not_found_by_hash(house: House, client: httpx.AsyncClient) -> None:
    der = house.shelf.certificates[ALICE.key].der

    response = await client.get(f"/certificates?certHash={sha1_text(der)}")

    assert (response.status_code, response.json()["code"]) == (404, "lookup.not_found")


async def test_h05_a_raw_plus_in_a_hash_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?certHash=DT+nUQN6kz7IHPmg3az9i8B9FQA")

    assert (response.status_code, response.json()["code"]) == (400, "http.malformed_hash")


async def test_h06_a_hash_of_another_length_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?sHash=abc=")

    assert (response.status_code, response.json()["code"]) == (400, "http.malformed_hash")


@pytest.mark.parametrize(
    "query", ["email=alice%40example.com&x=1", "x=1&email=alice%40example.com", "&&email=alice@example.com"]
)
async def test_h07_an_unknown_extra_pair_is_ignored(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/certificates?{query}")).status_code == 200


async def test_h08_no_match_is_not_found_and_not_cached(client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?email=nobody%40example.com")

    assert (response.status_code, response.json()["code"]) == (404, "lookup.not_found")
    assert response.headers["Cache-Control"] == "no-store"


async def test_h09_head_has_the_headers_of_get(client: httpx.AsyncClient) -> None:
    got = await client.get("/certificates?email=alice%40example.com")
    probed = await client.head("/certificates?email=alice%40example.com")

    assert probed.status_code == 200
    assert probed.headers == got.headers


async def test_h09_head_mints_nothing(house: House, client: httpx.AsyncClient) -> None:
    response = await client.head("/certificates?email=bob%40example.net", headers=bearer(GATEWAY.text))

    assert response.status_code == 404
    assert house.shelf.minted == []


async def test_h11_a_tag_is_part_of_the_address(house: House, client: httpx.AsyncClient) -> None:
    tagged = replace(house.shelf.fresh, mailbox=Mailbox.parse("alice+tag@example.com"))
    house.shelf.certificates[tagged.mailbox.key] = tagged

    response = await client.get("/certificates?uri=alice%2Btag%40example.com")

    assert response.content == tagged.der


@pytest.mark.parametrize("text", ["ALICE%40example.com", "alice%40EXAMPLE.COM"])
async def test_case_is_folded_beyond_what_the_rfc_asks(client: httpx.AsyncClient, text: str) -> None:
    assert (await client.get(f"/certificates?email={text}")).status_code == 200


async def test_h13_the_first_known_attribute_decides(client: httpx.AsyncClient) -> None:
    first = await client.get("/certificates?email=alice%40example.com&sHash=abc")
    second = await client.get("/certificates?sHash=abc&email=alice%40example.com")

    assert (first.status_code, second.status_code) == (200, 400)


@pytest.mark.parametrize("value", ["a" * 300 + "%40example.com", "%FF%40example.com", "a" * 5000])
async def test_h14_an_over_long_or_non_utf_8_value_is_refused(client: httpx.AsyncClient, value: str) -> None:
    response = await client.get(f"/certificates?email={value}")

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_gateways_get_for_one_complete_address_mints(house: House, client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?email=bob%40example.net", headers=bearer(GATEWAY.text))

    assert response.content == house.shelf.fresh.der
    assert house.shelf.minted == [NOBODY_YET]


async def test_a_gateway_without_the_right_learns_no_more_than_the_anonymous(
    house: House, client: httpx.AsyncClient
) -> None:
    anonymous = await client.get("/certificates?email=nurse%40hospital.org")
    reader = await client.get("/certificates?email=nurse%40hospital.org", headers=bearer(READER.text))

    assert anonymous.content == reader.content
    assert anonymous.headers == reader.headers
    assert reader.json()["code"] == "lookup.not_found"
    assert house.shelf.minted == []


async def test_a_gateway_that_may_mint_is_told_what_policy_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?email=nurse%40hospital.org", headers=bearer(GATEWAY.text))

    assert (response.status_code, response.json()["code"]) == (404, "policy.own_domain")


async def test_a_used_up_limit_says_when_to_come_back(house: House, client: httpx.AsyncClient) -> None:
    house.shelf.answer = Deferred(refusal=Refusal.LIMIT_REACHED, retry_after=timedelta(seconds=90))

    response = await client.get("/certificates?email=bob%40example.net", headers=bearer(GATEWAY.text))

    assert (response.status_code, response.headers["Retry-After"]) == (429, "90")


async def test_a_lost_database_is_said_to_be_lost(house: House, client: httpx.AsyncClient) -> None:
    house.shelf.failure = StoreUnavailable(reason="disk on fire")

    response = await client.get("/certificates?email=alice%40example.com")

    assert (response.status_code, response.json()["code"]) == (503, "store.unavailable")
    assert "Retry-After" in response.headers
    assert "fire" not in response.text


async def test_a_certificate_may_be_kept_five_minutes_by_its_caller_alone(client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?email=alice%40example.com")

    assert response.headers["Cache-Control"] == "private, max-age=300, must-revalidate"
    assert response.headers["Vary"] == "Authorization"


async def test_a_certificate_is_not_kept_beyond_its_end(house: House, client: httpx.AsyncClient) -> None:
    house.clock.advance(
        house.shelf.certificates[ALICE.key].not_after - house.clock.now() - timedelta(seconds=40)
    )

    response = await client.get("/certificates?email=alice%40example.com")

    assert "max-age=40," in response.headers["Cache-Control"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_who_has_the_certificate_already_is_told_so(client: httpx.AsyncClient, form: str) -> None:
    etag = (await client.get("/certificates?email=alice%40example.com")).headers["ETag"]

    response = await client.get(
        "/certificates?email=alice%40example.com", headers={"If-None-Match": form.format(etag)}
    )

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == etag


async def test_after_a_change_nobody_is_told_that_he_has_it(house: House, client: httpx.AsyncClient) -> None:
    etag = (await client.get("/certificates?email=alice%40example.com")).headers["ETag"]
    house.shelf.certificates[ALICE.key] = house.shelf.fresh

    response = await client.get("/certificates?email=alice%40example.com", headers={"If-None-Match": etag})

    assert (response.status_code, response.content) == (200, house.shelf.fresh.der)


async def test_a_revoked_certificate_is_gone_although_the_caller_has_it(
    house: House, client: httpx.AsyncClient
) -> None:
    etag = (await client.get("/certificates?email=alice%40example.com")).headers["ETag"]
    del house.shelf.certificates[ALICE.key]

    response = await client.get("/certificates?email=alice%40example.com", headers={"If-None-Match": etag})

    assert response.status_code == 404


@pytest.mark.parametrize(
    ("policy", "peer", "status"),
    [
        (AnonymousRead.LOOPBACK, "127.0.0.1", 200),
        (AnonymousRead.LOOPBACK, "192.0.2.7", 401),
        (AnonymousRead.EVERYONE, "192.0.2.7", 200),
        (AnonymousRead.NOBODY, "127.0.0.1", 401),
    ],
)
async def test_the_anonymous_read_from_where_the_operator_lets_them(
    house: House, policy: AnonymousRead, peer: str, status: int
) -> None:
    async with house.client(HttpSettings(anonymous_read=policy), peer=peer, scheme="https") as client:
        response = await client.get("/certificates?email=alice%40example.com")

    assert response.status_code == status


async def test_who_may_not_read_gets_the_same_answer_for_every_address(house: House) -> None:
    async with house.client(HttpSettings(anonymous_read=AnonymousRead.NOBODY)) as client:
        known = await client.get("/certificates?email=alice%40example.com")
        unknown = await client.get("/certificates?email=nobody%40example.com")

    assert (known.content, known.headers) == (unknown.content, unknown.headers)


async def test_an_agent_looks_nothing_up(client: httpx.AsyncClient) -> None:
    response = await client.get("/certificates?email=alice%40example.com", headers=bearer(AGENT.text))

    assert (response.status_code, response.json()["code"]) == (403, "auth.gateway_required")
