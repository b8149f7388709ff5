"""Requests made to cost much, or to have something called good that is not."""

import asyncio
import random
from collections import Counter

import httpx
import pytest
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.keys import KeyAlgorithm, PrivateKey
from ca.ocsp import OcspResponder
from directory.lookup import Minted
from directory.ocsp import OcspDesk, OcspRules
from directory.ocsp_memory import OcspMemory
from directory.store.ocsp import SqlOcspReader
from tests.builders import NOW, Authority, a_prepared_certificate
from tests.contracts.world import Store
from tests.directory.builders import a_mint_context
from tests.directory.clocks import StoppedClock
from tests.directory.http.house import House, a_house, house_certificates
from tests.directory.minting import ReadyKeys, an_enroller, found_authority
from tests.directory.ocspdesks import a_memory, an_ocsp_desk, seats_of
from tests.responders import a_mark, a_request, a_responder

UNUSED_SERIALS = 10_000
AT_ONCE = 50
ANNA = Mailbox.parse("anna@example.org")


@pytest.fixture(scope="module")
def responder(authority: Authority) -> OcspResponder:
    return a_responder(authority, KeyAlgorithm.P_256)


def a_desk(
    store: Store, authority: Authority, responder: OcspResponder, memory: OcspMemory | None = None
) -> OcspDesk:
    return OcspDesk(
        reader=SqlOcspReader(store.database),
        seats=seats_of(authority, responder),
        memory=memory if memory is not None else a_memory(),
        rules=OcspRules(),
        clock=StoppedClock(NOW),
    )


async def told(desk: OcspDesk, authority: Authority, serial: int) -> ocsp.OCSPCertStatus:
    answer = await desk.answer(a_request(a_mark(authority), serial))
    return ocsp.load_der_ocsp_response(answer.der).certificate_status


@pytest.fixture
def house(authority: Authority, recipient_key: PrivateKey) -> House:
    return a_house(authority, house_certificates(authority, recipient_key.public_key()))


# What is on record is read alike from both databases, as `tests/contracts/test_ocsp.py` shows.
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_of_ten_thousand_serial_numbers_never_issued_none_is_good(
    store: Store, authority: Authority, responder: OcspResponder, recipient_key: PrivateKey
) -> None:
    await found_authority(store, authority)
    minter = an_enroller(store.database, authority, ReadyKeys([recipient_key]))
    minted = await minter.mint(ANNA, a_mint_context())
    assert isinstance(minted, Minted)
    issued = minted.certificate.serial
    memory = a_memory(most=100)
    desk = a_desk(store, authority, responder, memory)
    drawn = random.Random(4711)  # noqa: S311 - the same ones each time
    near = [issued + n for n in range(-500, 501) if n]
    serials = [*near, *(drawn.getrandbits(159) | 1 for _ in range(UNUSED_SERIALS - len(near)))]

    statuses: Counter[ocsp.OCSPCertStatus] = Counter()
    for start in range(0, UNUSED_SERIALS, AT_ONCE):
        asked = [told(desk, authority, serial) for serial in serials[start : start + AT_ONCE]]
        statuses.update(await asyncio.gather(*asked))

    assert statuses == {ocsp.OCSPCertStatus.REVOKED: UNUSED_SERIALS}
    assert len(memory) == 0
    assert await told(desk, authority, issued) is ocsp.OCSPCertStatus.GOOD


async def test_a_serial_number_that_is_only_planned_is_not_good(
    store: Store, authority: Authority, responder: OcspResponder, recipient_key: PrivateKey
) -> None:
    await found_authority(store, authority)
    desk = a_desk(store, authority, responder)
    planned = a_prepared_certificate(authority, recipient_key.public_key())

    linted = authority.issuer.lint(planned)
    assert await told(desk, authority, planned.serial_number) is ocsp.OCSPCertStatus.REVOKED
    authority.issuer.sign(linted)  # and the power fails before it is committed
    assert await told(desk, authority, planned.serial_number) is ocsp.OCSPCertStatus.REVOKED


@pytest.mark.parametrize("length", [10_000_000, 70_000])
async def test_a_nonce_of_megabytes_is_not_even_read(house: House, length: int) -> None:
    async with house.client() as client:
        response = await client.post("/ocsp", content=bytes(length))

    assert response.status_code == 413


async def test_a_nonce_longer_than_the_standard_allows_is_not_repeated(
    authority: Authority, responder: OcspResponder
) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))
    answer = await desk.answer(a_request(a_mark(authority), 4711, nonce=b"n" * 129))

    response = ocsp.load_der_ocsp_response(answer.der)
    assert response.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@given(st.binary(max_size=200))
def test_whatever_is_sent_is_answered(octets: bytes) -> None:
    desk = an_ocsp_desk()

    answer = asyncio.run(desk.answer(octets))

    response = ocsp.load_der_ocsp_response(answer.der)
    assert response.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "body",
    [
        b"\x30" * 4000,
        b"\x30\x80" * 2000,
        b"\xa0\x84\xff\xff\xff\xff" * 600,
        b"\x30\x82\x0f\xf0\x30\x82\x0f\xec\x30\x82\x0f\xe8" + b"\x30\x00" * 2036,
    ],
)
async def test_nesting_and_lying_lengths_are_malformed(house: House, body: bytes) -> None:
    async with house.client() as client:
        response = await client.post("/ocsp", content=body)

    assert isinstance(response, httpx.Response)
    status = ocsp.load_der_ocsp_response(response.content).response_status
    assert status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
