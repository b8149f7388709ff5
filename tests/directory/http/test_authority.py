import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from tests.builders import Authority
from tests.ca.strangers import Stranger
from tests.directory.http.house import House


async def test_an_issuer_is_fetched_in_either_encoding(house: House, client: httpx.AsyncClient) -> None:
    issuer_id, der = next(iter(house.catalogue.certificates.items()))

    binary = await client.get(f"/ca/{issuer_id}.cer")
    text = await client.get(f"/ca/{issuer_id}.pem")

    assert (binary.headers["Content-Type"], binary.content) == ("application/pkix-cert", der)
    assert x509.load_pem_x509_certificate(text.content).public_bytes(Encoding.DER) == der


async def test_all_certificates_of_an_issuer_are_fetched_together(
    house: House, client: httpx.AsyncClient
) -> None:
    issuer_id, own = next(iter(house.catalogue.certificates.items()))
    stranger = Stranger("Another Root").certificate.public_bytes(Encoding.DER)
    house.catalogue.crossed[issuer_id] = [stranger]

    response = await client.get(f"/ca/{issuer_id}.p7c")

    assert response.headers["Content-Type"] == "application/pkcs7-mime"
    fetched = load_der_pkcs7_certificates(response.content)
    assert {one.public_bytes(Encoding.DER) for one in fetched} == {own, stranger}
    assert (await client.get(f"/ca/{issuer_id}.cer")).content == own
    assert (await client.get(f"/ca/{'f' * 40}.p7c")).status_code == 404


async def test_one_that_nobody_else_certified_is_alone(house: House, client: httpx.AsyncClient) -> None:
    issuer_id, own = next(iter(house.catalogue.certificates.items()))

    (only,) = load_der_pkcs7_certificates((await client.get(f"/ca/{issuer_id}.p7c")).content)

    assert only.public_bytes(Encoding.DER) == own


async def test_the_chain_has_the_issuing_certificates_first_and_the_roots_last(
    client: httpx.AsyncClient, authority: Authority
) -> None:
    response = await client.get("/ca/chain.pem")

    assert response.headers["Content-Type"] == "application/pem-certificate-chain"
    assert x509.load_pem_x509_certificates(response.content) == list(authority.chain)


async def test_the_world_may_keep_them_a_while(client: httpx.AsyncClient) -> None:
    response = await client.get("/ca/chain.pem")

    assert response.headers["Cache-Control"] == "public, max-age=3600"
    assert response.headers["ETag"].startswith('"')


@pytest.mark.parametrize("issuer_id", ["f" * 40, "x", "chain", "a" * 65, "%2e%2e", "A"])
async def test_an_unknown_issuer_is_unknown(client: httpx.AsyncClient, issuer_id: str) -> None:
    response = await client.get(f"/ca/{issuer_id}.cer")

    assert (response.status_code, response.json()["code"]) == (404, "record.unknown")


async def test_a_house_without_an_authority_says_so(house: House, client: httpx.AsyncClient) -> None:
    house.catalogue.certificates.clear()

    assert (await client.get("/ca/chain.pem")).status_code == 404


async def test_nobody_needs_a_token_from_anywhere(house: House) -> None:
    async with house.client(peer="192.0.2.7") as client:
        assert (await client.get("/ca/chain.pem")).status_code == 200
