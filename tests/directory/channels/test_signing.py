"""Who has the secret can tell our calls from others', and from old ones."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from directory.channels.signing import new_secret, signed

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
BODY = b'{"event":"password.ready"}'


def test_signs_time_identifier_and_body() -> None:
    headers = signed(BODY, delivery_id="d1", secret="whsec_1", at=AT).headers

    expected = hmac.new(b"whsec_1", b"1795339800.d1." + BODY, hashlib.sha256).hexdigest()
    assert headers == {"Pushpki-Delivery": "d1", "Pushpki-Signature": f"t=1795339800,v1={expected}"}


def test_a_fraction_of_a_second_does_not_show() -> None:
    later = signed(BODY, delivery_id="d1", secret="whsec_1", at=AT + timedelta(milliseconds=900))

    assert later == signed(BODY, delivery_id="d1", secret="whsec_1", at=AT)


@pytest.mark.parametrize(
    "other",
    [
        signed(BODY + b" ", delivery_id="d1", secret="whsec_1", at=AT),
        signed(BODY, delivery_id="d2", secret="whsec_1", at=AT),
        signed(BODY, delivery_id="d1", secret="whsec_2", at=AT),
        signed(BODY, delivery_id="d1", secret="whsec_1", at=AT + timedelta(seconds=1)),
    ],
)
def test_whatever_is_changed_changes_the_signature(other: object) -> None:
    assert other != signed(BODY, delivery_id="d1", secret="whsec_1", at=AT)


def test_secrets_have_256_bits_and_are_not_repeated() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert all(len(bytes.fromhex(one.removeprefix("whsec_"))) == 32 for one in secrets)
