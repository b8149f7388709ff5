"""Trust reaches as far as signatures carry it, and back only half the way."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from directory.evidence.statements import AuditSigner, KeyStatement
from directory.evidence.trust import Standing, TrustedKeys, pem_of, public_keys_in
from tests.directory.evidence.builders import NOW

FIRST, SECOND, THIRD, STRANGER = (AuditSigner.generate() for _ in range(4))
STATEMENTS = (
    FIRST.beginning(NOW),
    FIRST.succeeded_by(SECOND, number=2, at=NOW),
    SECOND.succeeded_by(THIRD, number=3, at=NOW),
)


def standings(*given: AuditSigner, statements: tuple[KeyStatement, ...] = STATEMENTS) -> list[Standing]:
    trusted = TrustedKeys([signer.public_key for signer in given])
    assert [trusted.learn(statement) for statement in statements] == [True] * len(statements)
    return [trusted.standing(signer.key_id) for signer in (FIRST, SECOND, THIRD)]


@pytest.mark.parametrize("order", [STATEMENTS, STATEMENTS[::-1]])
def test_the_key_that_was_given_vouches_for_its_successors(order: tuple[KeyStatement, ...]) -> None:
    trusted, former, unknown = Standing.TRUSTED, Standing.FORMER, Standing.UNKNOWN

    assert standings(FIRST, statements=order) == [trusted, trusted, trusted]
    assert standings(SECOND, statements=order) == [former, trusted, trusted]
    assert standings(THIRD, statements=order) == [former, former, trusted]
    assert standings(STRANGER, statements=order) == [unknown, unknown, unknown]


def test_a_stolen_key_that_was_replaced_cannot_name_another_successor() -> None:
    pretended = FIRST.succeeded_by(STRANGER, number=2, at=NOW)
    trusted = TrustedKeys([SECOND.public_key])
    for statement in (*STATEMENTS, pretended):
        trusted.learn(statement)

    assert trusted.standing(STRANGER.key_id) is Standing.UNKNOWN


@pytest.mark.parametrize(
    "change",
    [
        {"number": 7},
        {"at": NOW.replace(year=2030)},
        {"predecessor_id": STRANGER.key_id},
        {"predecessor_id": None},
        {"own_signature": bytes(64)},
        {"predecessors_signature": bytes(64)},
        {"predecessors_signature": None},
        {"public_key": STRANGER.public_key},
        {"public_key": b"short"},
    ],
)
def test_a_statement_that_was_changed_gives_nobody_trust(change: dict[str, object]) -> None:
    trusted = TrustedKeys([FIRST.public_key])
    trusted.learn(STATEMENTS[0])
    changed = replace(STATEMENTS[1], **change)  # type: ignore[arg-type] # the values fit the fields they name

    assert not trusted.learn(changed)
    assert trusted.standing(changed.key_id) is Standing.UNKNOWN


def test_a_statement_of_one_kind_is_none_of_another() -> None:
    head_like = STATEMENTS[1]
    end = FIRST.end(bytes(32), NOW)
    trusted = TrustedKeys([FIRST.public_key])

    assert trusted.signed(FIRST.key_id, end.signature, end.statement)
    assert not trusted.signed(FIRST.key_id, end.signature, head_like.statement)
    assert not trusted.signed(STRANGER.key_id, end.signature, end.statement)


def test_public_keys_are_read_from_pem_several_from_one_file() -> None:
    text = "given by hand\n" + pem_of(FIRST.public_key) + pem_of(SECOND.public_key)

    assert public_keys_in(text.encode()) == [FIRST.public_key, SECOND.public_key]


def test_other_keys_are_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for content in (b"", b"noise", pem, pem + pem_of(FIRST.public_key).encode()):
        with pytest.raises(ValueError):  # noqa: PT011 - there is nothing more to say
            public_keys_in(content)
