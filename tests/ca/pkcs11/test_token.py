"""A token that is slow, hangs, is taken away and comes back, at the narrow port."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ca.errors import PinRefused, SignerUnavailable, TokenDeclined, TokenKeyMissing
from ca.keys import KeyAlgorithm, PrivateKey, same_key
from ca.pkcs11 import TokenLimits, TokenThread
from ca.pkcs11.port import SigningMechanism
from tests.faketoken import DIGEST_INFO_LENGTH, FakeToken

KEY, OTHER_KEY = b"\x01", b"\x02"
OCTETS = bytes(DIGEST_INFO_LENGTH + 32)
PATIENT = TokenLimits(sign=60, connect=60, generate=60)
IMPATIENT = TokenLimits(sign=0.01, connect=0.01, generate=60)


@pytest.fixture
def fake(recipient_key: PrivateKey) -> Iterator[FakeToken]:
    token = FakeToken({KEY: recipient_key})
    yield token
    token.goes_on.set()


def sign(token: TokenThread, key_id: bytes = KEY) -> bytes:
    return token.sign(key_id, SigningMechanism.RSA_PKCS1, OCTETS)


def test_it_logs_in_with_the_first_signature_and_stays_so(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)

    assert sign(token) == sign(token)

    assert fake.calls == ["connect", "sign", "sign"]


def test_one_thread_makes_all_calls(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    with ThreadPoolExecutor(8) as callers:
        signatures = set(callers.map(lambda _: sign(token), range(32)))

    assert len(signatures) == 1
    assert len(fake.threads) == 1
    assert fake.logins == 1


def test_a_session_that_has_ended_is_opened_anew_without_anybody_noticing(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    sign(token)
    fake.end_session()

    sign(token)

    assert fake.logins == 2
    assert token.problem is None


def test_without_the_token_nothing_is_signed_and_it_is_asked_no_more(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    sign(token)
    fake.take_away()

    with pytest.raises(SignerUnavailable, match="'token-1' is not there"):
        sign(token)
    asked = len(fake.calls)
    with pytest.raises(SignerUnavailable, match="'token-1' is not there"):
        sign(token)
    with pytest.raises(SignerUnavailable, match="'token-1' is not there"):
        token.require(OTHER_KEY)

    assert len(fake.calls) == asked


def test_a_token_that_is_back_signs_after_the_next_check(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    fake.take_away()
    with pytest.raises(SignerUnavailable):
        sign(token)
    assert token.check() is not None

    fake.bring_back()

    assert token.check() is None
    token.require(KEY)
    sign(token)


def test_a_token_in_order_is_not_asked_by_a_check(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    assert token.check() is None
    asked = list(fake.calls)

    assert token.check() is None

    assert fake.calls == asked == ["connect"]


def test_a_token_that_hangs_costs_its_time_limit_once(fake: FakeToken) -> None:
    token = TokenThread(fake, IMPATIENT)
    fake.goes_on.clear()

    with pytest.raises(SignerUnavailable, match=r"has not answered within 0\.01 s"):
        sign(token)
    with pytest.raises(SignerUnavailable, match="has not answered"):
        sign(token)

    assert token.check() is not None, "the thread is still held"
    assert fake.calls == ["connect"]


def test_what_hung_and_came_to_itself_signs_again(fake: FakeToken) -> None:
    token = TokenThread(fake, TokenLimits(sign=0.01, connect=60, generate=60))
    fake.goes_on.clear()
    with pytest.raises(SignerUnavailable):
        sign(token)

    fake.goes_on.set()

    assert token.check() is None
    token.require(KEY)


def test_callers_who_have_left_are_not_served_later(fake: FakeToken) -> None:
    token = TokenThread(fake, IMPATIENT)
    fake.goes_on.clear()
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(sign, token) for _ in range(4)]
    assert all(isinstance(one.exception(), SignerUnavailable) for one in asked)

    fake.goes_on.set()
    token.close()

    assert fake.calls.count("sign") <= 1


def test_a_missing_key_keeps_no_other_from_signing(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)

    with pytest.raises(TokenKeyMissing, match="has no private key of CKA_ID 02"):
        sign(token, OTHER_KEY)

    sign(token)
    token.require(KEY)
    with pytest.raises(SignerUnavailable, match="CKA_ID 02"):
        token.require(OTHER_KEY)
    assert token.problem is not None


def test_a_key_that_is_known_to_be_missing_is_not_looked_for_at_each_signature(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    with pytest.raises(TokenKeyMissing):
        sign(token, OTHER_KEY)
    asked = len(fake.calls)

    with pytest.raises(SignerUnavailable, match="CKA_ID 02"):
        sign(token, OTHER_KEY)

    assert len(fake.calls) == asked


def test_a_key_that_is_there_again_is_noticed(fake: FakeToken, recipient_key: PrivateKey) -> None:
    token = TokenThread(fake, PATIENT)
    with pytest.raises(TokenKeyMissing):
        sign(token, OTHER_KEY)
    assert token.check() is not None

    fake.keys[OTHER_KEY] = recipient_key

    assert token.check() is None
    sign(token, OTHER_KEY)


def test_a_pin_that_is_refused_stays_told_apart(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    fake.refuses_pin = True

    with pytest.raises(PinRefused):
        sign(token)
    with pytest.raises(PinRefused, match="does not take the PIN"):
        token.require(KEY)


def test_it_makes_keys_and_tells_which_it_has(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)

    made = token.generate(KeyAlgorithm.P_256, OTHER_KEY, "Root CA")

    assert fake.calls == ["connect", "generate Root CA"]
    assert same_key(token.public_keys()[OTHER_KEY], made)


def test_it_logs_out_at_the_end(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    sign(token)

    token.close()

    assert fake.closed


def test_nobody_waits_for_a_key_that_is_still_being_made_when_it_is_closed(fake: FakeToken) -> None:
    token = TokenThread(fake, TokenLimits(sign=0.01, connect=60, generate=threading.TIMEOUT_MAX))
    fake.goes_on.clear()

    with ThreadPoolExecutor(1) as callers:
        made = callers.submit(token.generate, KeyAlgorithm.P_256, OTHER_KEY, "Root CA")
        assert fake.reached.wait(60)
        token.close()

        assert isinstance(made.exception(60), SignerUnavailable)
    assert token.problem is None


def test_a_token_that_was_never_asked_has_nothing_to_close(fake: FakeToken) -> None:
    TokenThread(fake, PATIENT).close()

    assert not fake.closed


def test_a_key_that_is_destroyed_is_gone_and_not_missed(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    with pytest.raises(TokenKeyMissing):
        sign(token, OTHER_KEY)

    assert not token.destroy(OTHER_KEY)
    assert token.destroy(KEY)

    assert token.problem is None
    assert fake.keys == {}


def test_a_token_that_is_away_destroys_nothing(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    fake.take_away()

    with pytest.raises(SignerUnavailable):
        token.destroy(KEY)

    assert set(fake.keys) == {KEY}


def test_a_token_that_was_given_up_while_it_made_a_key_signs_as_soon_as_that_is_made(fake: FakeToken) -> None:
    token = TokenThread(fake, TokenLimits(sign=0.01, connect=60, generate=60))
    sign(token)
    fake.reached.clear()
    fake.goes_on.clear()
    with ThreadPoolExecutor(1) as callers:
        made = callers.submit(token.generate, KeyAlgorithm.P_256, OTHER_KEY, "OCSP responder")
        assert fake.reached.wait(60)
        with pytest.raises(SignerUnavailable, match="has not answered"):
            sign(token)
        assert token.problem is not None

        fake.goes_on.set()
        made.result(60)

    token.require(OTHER_KEY)
    assert token.problem is None


def test_a_token_that_makes_and_destroys_nothing_signs_all_the_same(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    fake.is_protected = True

    with pytest.raises(TokenDeclined, match="TokenWriteProtected"):
        token.generate(KeyAlgorithm.P_256, OTHER_KEY, "OCSP responder")
    assert token.problem is None
    with pytest.raises(TokenDeclined, match="TokenWriteProtected"):
        token.destroy(KEY)

    assert token.problem is None
    assert sign(token)


def test_what_declined_and_turns_out_to_be_away_is_found_to_be_so(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    fake.is_protected = True
    with pytest.raises(TokenDeclined):
        token.destroy(KEY)
    fake.take_away()

    assert token.check() is not None


def test_it_tells_whether_it_has_a_key(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)

    assert token.has_key(KEY)
    fake.end_session()
    assert token.has_key(KEY)
    assert not token.has_key(OTHER_KEY)
    assert token.problem is None
    fake.take_away()
    with pytest.raises(SignerUnavailable):
        token.has_key(KEY)


def test_a_key_that_another_may_replace_is_missed_without_giving_the_token_up(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    token.may_replace(OTHER_KEY)
    assert not token.misses(OTHER_KEY)

    token.look_for(OTHER_KEY)

    assert token.misses(OTHER_KEY)
    assert token.problem is None
    with pytest.raises(SignerUnavailable, match="CKA_ID 02"):
        token.require(OTHER_KEY)
    token.dismiss(OTHER_KEY)
    assert not token.misses(OTHER_KEY)


def test_of_a_token_that_is_away_no_key_is_missed(fake: FakeToken) -> None:
    token = TokenThread(fake, PATIENT)
    fake.take_away()

    token.look_for(KEY)
    token.look_for(KEY)

    assert not token.misses(KEY)
    assert token.problem is not None
