import base64
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from cryptography.x509 import ocsp

from ca.ocsp import OcspResponder
from ca.ocsprequests import IssuerMark
from tests.builders import Authority
from tests.directory.http.house import House
from tests.directory.ocspdesks import ISSUED, Books, an_ocsp_desk, seats_of
from tests.responders import a_mark, a_request, a_responder

TYPES = {"Content-Type": "application/ocsp-request"}
GOOD = ocsp.OCSPCertStatus.GOOD


@pytest.fixture(scope="module")
def responder(authority: Authority) -> OcspResponder:
    return a_responder(authority)


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def house(house: House, authority: Authority, responder: OcspResponder, books: Books) -> House:
    desk = an_ocsp_desk(seats=seats_of(authority, responder), reader=books, clock=house.clock)
    return replace(house, services=replace(house.services, ocsp=desk))


@pytest.fixture
def mark(authority: Authority) -> IssuerMark:
    return a_mark(authority)


def path_of(request: bytes, *, safe: str = "") -> str:
    return f"/ocsp/{quote(base64.b64encode(request), safe=safe)}"


def why_not(response: httpx.Response) -> ocsp.OCSPResponseStatus:
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers
    return ocsp.load_der_ocsp_response(response.content).response_status


async def test_answers_by_post_and_by_get_alike(client: httpx.AsyncClient, mark: IssuerMark) -> None:
    request = a_request(mark, ISSUED)

    posted = await client.post("/ocsp", content=request, headers=TYPES)
    fetched = await client.get(path_of(request))

    assert posted.content == fetched.content
    assert {one.headers["Content-Type"] for one in (posted, fetched)} == {"application/ocsp-response"}
    assert ocsp.load_der_ocsp_response(posted.content).certificate_status is GOOD


async def test_a_get_may_leave_as_it_is_what_base64_has_of_its_own(
    client: httpx.AsyncClient, mark: IssuerMark
) -> None:
    serials = (serial for serial in range(2**60, 2**61) if b"/" in base64.b64encode(a_request(mark, serial)))

    response = await client.get(path_of(a_request(mark, next(serials)), safe="/+="))

    status = ocsp.load_der_ocsp_response(response.content).certificate_status
    assert status is ocsp.OCSPCertStatus.REVOKED


async def test_says_for_how_long_it_may_be_kept(client: httpx.AsyncClient, mark: IssuerMark) -> None:
    headers = (await client.get(path_of(a_request(mark, ISSUED)))).headers

    assert headers["Cache-Control"] == "max-age=60, public, no-transform, must-revalidate"
    assert headers["Last-Modified"] == "Sun, 22 Nov 2026 09:30:00 GMT"
    assert headers["Expires"] == "Mon, 23 Nov 2026 09:30:00 GMT"
    assert len(headers["ETag"]) == 66


async def test_whoever_has_it_is_not_sent_it_again(
    house: House, client: httpx.AsyncClient, mark: IssuerMark
) -> None:
    path = path_of(a_request(mark, ISSUED))
    etag = (await client.get(path)).headers["ETag"]

    for condition in ({"If-None-Match": etag}, {"If-Modified-Since": "Sun, 22 Nov 2026 09:30:00 GMT"}):
        response = await client.get(path, headers=condition)
        assert (response.status_code, response.content) == (304, b"")
    house.clock.advance(timedelta(hours=13))
    assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_a_head_has_everything_but_the_response(client: httpx.AsyncClient, mark: IssuerMark) -> None:
    path = path_of(a_request(mark, ISSUED))
    whole = await client.get(path)

    head = await client.head(path)

    assert (head.status_code, head.headers["ETag"]) == (200, whole.headers["ETag"])


@pytest.mark.parametrize("path", ["/ocsp", "/ocsp/", "/ocsp/!", "/ocsp/AAAA", "/ocsp/%00", "/ocsp/a/b/c"])
async def test_a_path_that_is_no_request_is_malformed(client: httpx.AsyncClient, path: str) -> None:
    assert why_not(await client.get(path)) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@pytest.mark.parametrize("body", [b"", b"{}", b"\x30\x80", bytes(5000)])
async def test_a_body_that_is_no_request_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/ocsp", content=body, headers=TYPES)

    assert why_not(response) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_a_refusal_may_not_be_kept(client: httpx.AsyncClient, mark: IssuerMark, books: Books) -> None:
    foreign = replace(mark, key_hash=b"k" * 20)
    response = await client.post("/ocsp", content=a_request(foreign, ISSUED), headers=TYPES)
    assert why_not(response) is ocsp.OCSPResponseStatus.UNAUTHORIZED

    books.is_away = True
    response = await client.post("/ocsp", content=a_request(mark, ISSUED), headers=TYPES)
    assert why_not(response) is ocsp.OCSPResponseStatus.TRY_LATER


@pytest.mark.parametrize(("method", "path"), [("PUT", "/ocsp"), ("DELETE", "/ocsp"), ("POST", "/ocsp/AAAA")])
async def test_other_methods_are_refused(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, POST"
    assert response.json()["code"] == "http.method_not_allowed"


async def test_a_neighbouring_path_is_somebody_elses(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ocspx")).status_code == 404


async def test_the_log_of_accesses_names_the_route_and_not_the_request(
    house: House, client: httpx.AsyncClient, mark: IssuerMark
) -> None:
    await client.get(path_of(a_request(mark, ISSUED)))

    assert house.services.requests["GET", "/ocsp", "200"] == 1
