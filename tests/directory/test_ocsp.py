"""What is answered, to what, and out of which hand: memory, database, or nobody's."""

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from ca.keys import KeyAlgorithm
from ca.ocsp import OcspResponder, Revoked
from ca.ocsprequests import IdHash
from ca.pkcs11 import TokenKey, TokenLimits, TokenSigner, TokenThread
from ca.profiles import Purpose
from ca.revocation import RevocationReason
from directory.ocsp import NeverIssuedPolicy, NoncePolicy, OcspRules
from directory.ocsp_memory import OcspAnswer
from tests.builders import NOW, Authority, a_profile
from tests.directory.clocks import StoppedClock
from tests.directory.ocspdesks import ISSUED, REVOKED, Books, a_memory, an_ocsp_desk, seats_of
from tests.faketoken import FakeToken
from tests.responders import a_mark, a_request, a_responder, joined

HOUR = timedelta(hours=1)
GOOD = ocsp.OCSPCertStatus.GOOD
UNKNOWN = 99
TRY_LATER = ocsp.OCSPResponseStatus.TRY_LATER
WITH_NONCE = OcspRules(nonce=NoncePolicy.ANSWER)


@pytest.fixture(scope="module")
def responder(authority: Authority) -> OcspResponder:
    return a_responder(authority)


def read(answer: OcspAnswer) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response(answer.der)


def why_not(answer: OcspAnswer) -> ocsp.OCSPResponseStatus:
    assert (answer.period, answer.tag) == (None, "")
    return read(answer).response_status


@pytest.mark.parametrize("id_hash", IdHash)
async def test_says_what_is_on_record(
    authority: Authority, responder: OcspResponder, id_hash: IdHash
) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))
    mark = a_mark(authority, id_hash)

    good = read(await desk.answer(a_request(mark, ISSUED)))
    revoked = read(await desk.answer(a_request(mark, REVOKED)))

    assert (good.certificate_status, good.hash_algorithm.name) == (GOOD, id_hash.value)
    assert revoked.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert revoked.revocation_reason is x509.ReasonFlags.superseded
    assert (good.this_update_utc, good.next_update_utc) == (NOW, NOW + 24 * HOUR)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (NeverIssuedPolicy.REVOKED, ocsp.OCSPCertStatus.REVOKED),
        (NeverIssuedPolicy.UNKNOWN, ocsp.OCSPCertStatus.UNKNOWN),
    ],
)
async def test_what_was_never_issued_is_told_as_the_operator_says_and_never_remembered(
    authority: Authority,
    responder: OcspResponder,
    policy: NeverIssuedPolicy,
    expected: ocsp.OCSPCertStatus,
) -> None:
    memory, books = a_memory(), Books()
    rules = OcspRules(never_issued=policy)
    desk = an_ocsp_desk(seats=seats_of(authority, responder), memory=memory, rules=rules, reader=books)
    request = a_request(a_mark(authority), UNKNOWN)

    assert read(await desk.answer(request)).certificate_status is expected
    assert len(memory) == 0
    books.status[UNKNOWN] = books.status[ISSUED]  # the next moment
    assert read(await desk.answer(request)).certificate_status is GOOD


async def test_what_was_signed_is_given_again_without_asking_the_database(
    authority: Authority, responder: OcspResponder
) -> None:
    books = Books()
    desk = an_ocsp_desk(seats=seats_of(authority, responder), reader=books)
    request = a_request(a_mark(authority), ISSUED)

    first = await desk.answer(request)
    books.is_away = True

    assert await desk.answer(request) is first
    assert books.readings == 1


async def test_in_half_its_time_it_is_signed_anew(authority: Authority, responder: OcspResponder) -> None:
    clock = StoppedClock(NOW)
    desk = an_ocsp_desk(seats=seats_of(authority, responder), clock=clock)
    request = a_request(a_mark(authority), ISSUED)
    first = await desk.answer(request)

    clock.advance(11 * HOUR)
    assert await desk.answer(request) is first
    clock.advance(2 * HOUR)
    renewed = await desk.answer(request)

    assert read(renewed).this_update_utc == NOW + 13 * HOUR


async def test_an_announced_revocation_is_told_at_once(
    authority: Authority, responder: OcspResponder
) -> None:
    books, memory = Books(), a_memory()
    desk = an_ocsp_desk(seats=seats_of(authority, responder), reader=books, memory=memory)
    request = a_request(a_mark(authority), ISSUED)
    await desk.answer(request)
    books.status[ISSUED] = Revoked(at=NOW, reason=RevocationReason.KEY_COMPROMISE)

    memory.forget(frozenset({f"{ISSUED}@example.com"}))

    assert read(await desk.answer(request)).certificate_status is ocsp.OCSPCertStatus.REVOKED


async def test_what_turns_out_to_be_true_still_is_not_signed_anew(
    authority: Authority, responder: OcspResponder
) -> None:
    books, memory = Books(), a_memory()
    desk = an_ocsp_desk(seats=seats_of(authority, responder), reader=books, memory=memory)
    request = a_request(a_mark(authority), ISSUED)
    first = await desk.answer(request)

    memory.forget_everything()

    assert await desk.answer(request) is first
    assert books.readings == 2


async def test_while_nobody_knows_what_was_revoked_the_database_is_asked_each_time(
    authority: Authority, responder: OcspResponder
) -> None:
    books = Books()
    desk = an_ocsp_desk(seats=seats_of(authority, responder), reader=books, memory=a_memory(is_current=False))
    request = a_request(a_mark(authority), ISSUED)

    await desk.answer(request)
    await desk.answer(request)
    assert books.readings == 2
    books.is_away = True
    assert why_not(await desk.answer(request)) is ocsp.OCSPResponseStatus.TRY_LATER


async def test_a_nonce_is_repeated_where_the_operator_says_so(
    authority: Authority, responder: OcspResponder
) -> None:
    memory = a_memory()
    desk = an_ocsp_desk(seats=seats_of(authority, responder), rules=WITH_NONCE, memory=memory)

    answer = await desk.answer(a_request(a_mark(authority), ISSUED, nonce=b"n" * 32))

    assert read(answer).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    assert answer.period is None
    assert len(memory) == 0


async def test_a_nonce_is_passed_over_otherwise(authority: Authority, responder: OcspResponder) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))
    mark = a_mark(authority)

    with_nonce = await desk.answer(a_request(mark, ISSUED, nonce=b"n" * 32))

    assert list(read(with_nonce).extensions) == []
    assert await desk.answer(a_request(mark, ISSUED)) is with_nonce


async def test_answers_for_several_certificates_at_once(
    authority: Authority, responder: OcspResponder
) -> None:
    books = Books()
    desk = an_ocsp_desk(seats=seats_of(authority, responder), rules=WITH_NONCE, reader=books)

    answer = await desk.answer(a_request(a_mark(authority), ISSUED, REVOKED, UNKNOWN, nonce=b"n" * 16))

    told = [one.certificate_status.name for one in read(answer).responses]
    assert told == ["GOOD", "REVOKED", "REVOKED"]
    assert read(answer).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 16
    assert books.readings == 1


async def test_several_hold_no_longer_than_the_shortest_of_them(
    authority: Authority, responder: OcspResponder
) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))

    answer = await desk.answer(a_request(a_mark(authority), ISSUED, UNKNOWN))

    assert answer.period is not None
    assert answer.period.next_update == NOW + HOUR


async def test_an_issuer_that_is_none_of_ours_is_refused(
    authority: Authority, responder: OcspResponder
) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))
    ours = a_mark(authority)
    foreign = type(ours)(id_hash=IdHash.SHA_1, name_hash=b"n" * 20, key_hash=ours.key_hash)

    for request in (
        a_request(foreign, ISSUED),
        joined([a_request(ours, ISSUED), a_request(foreign, ISSUED)]),
    ):
        assert why_not(await desk.answer(request)) is ocsp.OCSPResponseStatus.UNAUTHORIZED


async def test_without_a_responder_the_asker_is_put_off(authority: Authority) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, None))

    answer = await desk.answer(a_request(a_mark(authority), ISSUED))

    assert why_not(answer) is ocsp.OCSPResponseStatus.TRY_LATER


async def test_no_responder_signs_after_its_end(authority: Authority, responder: OcspResponder) -> None:
    clock = StoppedClock(NOW + timedelta(days=31))
    desk = an_ocsp_desk(seats=seats_of(authority, responder), clock=clock)

    answer = await desk.answer(a_request(a_mark(authority), ISSUED))

    assert why_not(answer) is ocsp.OCSPResponseStatus.TRY_LATER


async def test_by_a_clock_in_doubt_nothing_is_signed_and_what_was_is_given_again(
    authority: Authority, responder: OcspResponder
) -> None:
    doubts: list[str | None] = [None]
    desk = an_ocsp_desk(seats=seats_of(authority, responder), doubt=lambda: doubts[-1])
    request = a_request(a_mark(authority), ISSUED)
    signed = await desk.answer(request)

    doubts.append("it has jumped")

    assert await desk.answer(request) is signed
    other = await desk.answer(a_request(a_mark(authority), REVOKED))
    assert why_not(other) is ocsp.OCSPResponseStatus.TRY_LATER


async def test_what_a_clock_has_signed_that_was_ahead_is_signed_anew(
    authority: Authority, responder: OcspResponder
) -> None:
    clock = StoppedClock(NOW + timedelta(days=1))
    desk = an_ocsp_desk(seats=seats_of(authority, responder), clock=clock)
    request = a_request(a_mark(authority), ISSUED)
    await desk.answer(request)

    clock.advance(timedelta(days=-1))

    assert read(await desk.answer(request)).this_update_utc == NOW


async def test_no_answer_outlives_its_responder(authority: Authority, responder: OcspResponder) -> None:
    ends = responder.certificate.not_valid_after_utc
    desk = an_ocsp_desk(seats=seats_of(authority, responder), clock=StoppedClock(ends - HOUR))

    answer = read(await desk.answer(a_request(a_mark(authority), ISSUED)))

    assert answer.next_update_utc == ends


async def test_what_is_not_a_request_is_malformed(authority: Authority, responder: OcspResponder) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))

    assert why_not(await desk.answer(b"")) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


async def test_of_a_crowd_with_made_up_serials_some_are_put_off_and_the_known_are_answered(
    authority: Authority, responder: OcspResponder
) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, responder))
    mark = a_mark(authority)
    await desk.answer(a_request(mark, ISSUED))

    crowd = [asyncio.create_task(desk.answer(a_request(mark, 10_000 + n))) for n in range(200)]
    known = await desk.answer(a_request(mark, ISSUED))
    answers = [read(one) for one in await asyncio.gather(*crowd)]

    assert read(known).certificate_status is GOOD
    put_off = [one for one in answers if one.response_status is ocsp.OCSPResponseStatus.TRY_LATER]
    answered = [one for one in answers if one.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL]
    assert len(put_off) == 200 - 64
    assert {one.certificate_status for one in answered} == {ocsp.OCSPCertStatus.REVOKED}


@pytest.fixture
def fake() -> FakeToken:
    return FakeToken()


@pytest.fixture
def in_token(authority: Authority, fake: FakeToken) -> OcspResponder:
    """A responder whose key is in a token."""
    token = TokenThread(fake, TokenLimits(sign=60, connect=60))
    public_key = token.generate(KeyAlgorithm.P_256, b"ocsp", "OCSP responder")
    signer = TokenSigner(token, TokenKey(token=fake.label, key_id=b"ocsp".hex()), public_key)
    profile = a_profile(Purpose.OCSP_RESPONDER, key_algorithm=KeyAlgorithm.P_256)
    prepared = authority.issuer.prepare_ocsp_responder(profile, public_key, NOW)
    certificate = authority.issuer.sign(authority.issuer.lint(prepared))
    return OcspResponder(certificate, authority.issuer.certificate, signer)


async def test_while_the_token_is_away_what_was_signed_is_answered_as_long_as_it_holds(
    authority: Authority, in_token: OcspResponder, fake: FakeToken, caplog: pytest.LogCaptureFixture
) -> None:
    clock = StoppedClock(NOW)
    desk = an_ocsp_desk(seats=seats_of(authority, in_token), clock=clock)
    request = a_request(a_mark(authority), ISSUED)
    first = await desk.answer(request)
    fake.take_away()

    clock.advance(23 * HOUR)  # it would have been signed anew for half a day

    assert await desk.answer(request) is first
    assert why_not(await desk.answer(a_request(a_mark(authority), REVOKED))) is TRY_LATER
    clock.advance(HOUR)
    assert why_not(await desk.answer(request)) is TRY_LATER
    assert caplog.text == ""


async def test_what_was_signed_is_not_answered_when_it_is_not_true_any_more(
    authority: Authority, in_token: OcspResponder, fake: FakeToken
) -> None:
    books, memory = Books(), a_memory()
    desk = an_ocsp_desk(seats=seats_of(authority, in_token), reader=books, memory=memory)
    request = a_request(a_mark(authority), ISSUED)
    await desk.answer(request)
    fake.take_away()

    memory.forget_everything()
    books.status[ISSUED] = books.status[REVOKED]

    assert why_not(await desk.answer(request)) is TRY_LATER


async def test_a_token_signs_for_one_asker_after_the_other(
    authority: Authority, in_token: OcspResponder, fake: FakeToken
) -> None:
    desk = an_ocsp_desk(seats=seats_of(authority, in_token))
    fake.goes_on.clear()
    fake.reached.clear()
    requests = [a_request(a_mark(authority), serial) for serial in (ISSUED, REVOKED, UNKNOWN)]
    asked = [asyncio.create_task(desk.answer(request)) for request in requests]
    await asyncio.to_thread(fake.reached.wait)
    assert fake.calls.count("sign") == 1

    fake.goes_on.set()

    assert {read(one).response_status for one in await asyncio.gather(*asked)} == {
        ocsp.OCSPResponseStatus.SUCCESSFUL
    }
