from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from directory.authorities import PublishedCrl
from tests.directory.http.hashes import key_identifier_hash, name_hash
from tests.directory.http.house import House, a_published_crl


@pytest.fixture
def crl(house: House) -> PublishedCrl:
    """The CRL of the issuing CA."""
    return next(iter(house.board.complete_crls()))


def url(crl: PublishedCrl) -> str:
    return f"/crl/{crl.issuer_id}.crl"


async def test_each_issuers_crl_is_fetched_by_the_name_of_the_issuer(
    house: House, client: httpx.AsyncClient
) -> None:
    issuing, root = house.board.complete_crls()

    responses = [await client.get(url(crl)) for crl in (issuing, root)]

    assert [response.content for response in responses] == [issuing.der, root.der]
    assert {response.headers["Content-Type"] for response in responses} == {"application/pkix-crl"}
    assert responses[0].headers["Content-Length"] == str(len(issuing.der))


async def test_says_which_it_is_and_since_when(client: httpx.AsyncClient, crl: PublishedCrl) -> None:
    response = await client.get(url(crl))

    assert response.headers["ETag"] == f'"{crl.issuer_id}-1"'
    assert response.headers["Last-Modified"] == "Sun, 22 Nov 2026 09:30:00 GMT"


async def test_a_head_has_everything_but_the_crl(client: httpx.AsyncClient, crl: PublishedCrl) -> None:
    head, whole = await client.head(url(crl)), await client.get(url(crl))

    assert (head.status_code, head.content) == (200, b"")
    names = ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Cache-Control")
    assert [head.headers[name] for name in names] == [whole.headers[name] for name in names]


@pytest.mark.parametrize(
    ("advanced", "age"),
    [
        (timedelta(0), 60),
        (timedelta(days=7, seconds=-10), 10),
        (timedelta(days=7), 0),
        (timedelta(days=9), 0),
    ],
)
async def test_no_cache_keeps_it_a_minute_nor_beyond_its_end(
    house: House, client: httpx.AsyncClient, crl: PublishedCrl, advanced: timedelta, age: int
) -> None:
    house.clock.advance(advanced)

    response = await client.get(url(crl))

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == f"public, max-age={age}, must-revalidate"


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-None-Match", "{etag}", 304),
        ("If-None-Match", 'W/{etag}, "other"', 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"other"', 200),
        ("If-Modified-Since", "{date}", 304),
        ("If-Modified-Since", "Mon, 23 Nov 2026 09:30:00 GMT", 304),
        ("If-Modified-Since", "Sun, 22 Nov 2026 09:29:59 GMT", 200),
        ("If-Modified-Since", "Sun, 22 Nov 2026 09:30:00", 200),
        ("If-Modified-Since", "yesterday", 200),
        ("If-Modified-Since", "", 200),
    ],
)
async def test_whoever_has_it_is_not_sent_it_again(
    client: httpx.AsyncClient, crl: PublishedCrl, header: str, value: str, status: int
) -> None:
    first = await client.get(url(crl))
    value = value.format(etag=first.headers["ETag"], date=first.headers["Last-Modified"])

    response = await client.get(url(crl), headers={header: value})

    assert response.status_code == status
    assert (response.content == b"") == (status == 304)
    assert response.headers["ETag"] == first.headers["ETag"]


async def test_an_entity_tag_goes_before_a_date(client: httpx.AsyncClient, crl: PublishedCrl) -> None:
    first = await client.get(url(crl))
    headers = {"If-None-Match": '"other"', "If-Modified-Since": first.headers["Last-Modified"]}

    assert (await client.get(url(crl), headers=headers)).status_code == 200


async def test_the_next_one_takes_its_place(
    house: House, client: httpx.AsyncClient, crl: PublishedCrl
) -> None:
    before = await client.get(url(crl))
    after = a_published_crl(crl.issuer_id, crl.issuer_certificate, house.clock.now(), number=2)
    house.board.show({}, [after])

    response = await client.get(url(crl), headers={"If-None-Match": before.headers["ETag"]})

    assert (response.status_code, response.content) == (200, after.der)


@pytest.mark.parametrize("issuer_id", ["f" * 40, "x", "%2e%2e", "A"])
async def test_an_unknown_issuer_has_none(client: httpx.AsyncClient, issuer_id: str) -> None:
    response = await client.get(f"/crl/{issuer_id}.crl")

    assert (response.status_code, response.json()["code"]) == (404, "record.unknown")


async def test_nobody_needs_a_token_from_anywhere(house: House, crl: PublishedCrl) -> None:
    async with house.client(peer="192.0.2.7") as client:
        assert (await client.get(url(crl))).status_code == 200


async def test_is_found_by_the_hash_of_its_issuers_name_or_key_identifier(
    house: House, client: httpx.AsyncClient
) -> None:
    for crl in house.board.complete_crls():
        for query in (
            f"iHash={quote(name_hash(crl.issuer_certificate))}",
            f"sKIDHash={quote(key_identifier_hash(crl.issuer_certificate), safe='')}",
        ):
            response = await client.get(f"/crls?{query}")

            assert (response.headers["Content-Type"], response.content) == ("application/pkix-crl", crl.der)


async def test_of_two_issuers_of_one_name_the_latest_crl_is_found(
    house: House, client: httpx.AsyncClient, crl: PublishedCrl
) -> None:
    later = house.clock.now() + timedelta(hours=1)
    successor = a_published_crl("f" * 40, crl.issuer_certificate, later)
    house.board.show({}, [crl, successor])

    response = await client.get(f"/crls?iHash={quote(name_hash(crl.issuer_certificate))}")

    assert response.content == successor.der


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "http.missing_attribute"),
        ("name=Example", 400, "http.missing_attribute"),
        ("iHash=abc=", 400, "http.malformed_hash"),
        ("iHash=" + "A" * 27, 404, "record.unknown"),
        ("iHash=" + "A" * 3000, 400, "http.malformed_query"),
    ],
)
async def test_what_asks_for_no_crl_is_refused(
    client: httpx.AsyncClient, query: str, status: int, code: str
) -> None:
    response = await client.get(f"/crls?{query}")

    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.fixture
def partition(house: House, crl: PublishedCrl) -> PublishedCrl:
    """The CRL of the twelfth partition of the issuing CA."""
    (found,) = (one for one in house.board.crls() if one.partition is not None)
    assert found.issuer_id == crl.issuer_id
    return found


async def test_the_crl_of_a_partition_is_fetched_by_its_number(
    client: httpx.AsyncClient, crl: PublishedCrl, partition: PublishedCrl
) -> None:
    response = await client.get(f"/crl/{crl.issuer_id}/12.crl")
    complete = await client.get(url(crl))

    assert (response.content, complete.content) == (partition.der, crl.der)
    assert response.headers["Content-Type"] == "application/pkix-crl"
    assert response.headers["ETag"] == f'"{crl.issuer_id}-12-3"'
    assert response.headers["Cache-Control"] == "public, max-age=60, must-revalidate"


async def test_whoever_has_the_crl_of_a_partition_is_not_sent_it_again(
    client: httpx.AsyncClient, crl: PublishedCrl, partition: PublishedCrl
) -> None:
    path = f"/crl/{crl.issuer_id}/{partition.partition}.crl"
    first = await client.get(path)

    again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    other = await client.get(path, headers={"If-None-Match": f'"{crl.issuer_id}-{crl.number}"'})

    assert (again.status_code, other.status_code) == (304, 200)


@pytest.mark.usefixtures("partition")
@pytest.mark.parametrize("number", ["11", "0", "012", "-12", "+12", "12.0", "1e1", "१२", "9" * 30, "x", ""])
async def test_an_unknown_partition_has_none(
    client: httpx.AsyncClient, crl: PublishedCrl, number: str
) -> None:
    response = await client.get(f"/crl/{crl.issuer_id}/{number}.crl")

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_partition_of_another_issuer_is_not_found(
    client: httpx.AsyncClient, partition: PublishedCrl
) -> None:
    response = await client.get(f"/crl/{'f' * 40}/{partition.partition}.crl")

    assert (response.status_code, response.json()["code"]) == (404, "record.unknown")


async def test_only_complete_crls_are_found_by_hash(
    client: httpx.AsyncClient, crl: PublishedCrl, partition: PublishedCrl
) -> None:
    response = await client.get(f"/crls?iHash={quote(name_hash(partition.issuer_certificate))}")

    assert response.content == crl.der
