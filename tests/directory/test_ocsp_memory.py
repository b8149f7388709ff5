from datetime import timedelta

from ca.ocsp import Good, Status
from ca.ocsprequests import CertificateId, IdHash, IssuerMark
from directory.ocsp_memory import OcspAnswer, Remembered
from tests.builders import NOW
from tests.directory.ocspdesks import a_memory

MARK = IssuerMark(id_hash=IdHash.SHA_1, name_hash=b"n" * 20, key_hash=b"k" * 20)
HOUR = timedelta(hours=1)


def an_id(serial_number: int = 1) -> CertificateId:
    return CertificateId(issuer=MARK, serial_number=serial_number)


def a_remembered(address_key: str = "anna@example.org", status: Status | None = None) -> Remembered:
    return Remembered(
        answer=OcspAnswer(der=b"answer"),
        status=status or Good(),
        address_key=address_key,
        renew_at=NOW + HOUR,
    )


def test_recalls_until_it_is_to_be_renewed() -> None:
    memory = a_memory()
    memory.remember(an_id(), a_remembered(), forgettings=memory.forgettings)

    assert memory.recall(an_id(), NOW) is not None
    assert memory.recall(an_id(), NOW + HOUR) is None
    assert memory.recall(an_id(2), NOW) is None


def test_what_was_read_before_a_forgetting_is_not_remembered_after_it() -> None:
    memory = a_memory()
    forgettings = memory.forgettings
    memory.forget(frozenset({"somebody@example.org"}))

    memory.remember(an_id(), a_remembered(), forgettings=forgettings)

    assert len(memory) == 0


def test_forgets_an_address_and_no_other() -> None:
    memory = a_memory()
    for serial, address in ((1, "anna@example.org"), (2, "anna@example.org"), (3, "bert@example.org")):
        memory.remember(an_id(serial), a_remembered(address), forgettings=memory.forgettings)

    memory.forget(frozenset({"anna@example.org"}))

    assert [memory.recall(an_id(serial), NOW) is None for serial in (1, 2, 3)] == [True, True, False]


def test_what_is_forgotten_can_be_vouched_for_again_if_it_says_the_same() -> None:
    memory = a_memory()
    memory.remember(an_id(), a_remembered(), forgettings=memory.forgettings)
    memory.forget_everything()

    signed = memory.signed(an_id(), Good(), NOW)

    assert memory.recall(an_id(), NOW) is None
    assert signed is not None
    memory.remember(an_id(), signed, forgettings=memory.forgettings)
    assert memory.recall(an_id(), NOW) is signed.answer


def test_recalls_nothing_while_nobody_knows_what_was_revoked() -> None:
    memory = a_memory(is_current=False)
    memory.remember(an_id(), a_remembered(), forgettings=memory.forgettings)

    assert memory.recall(an_id(), NOW) is None


def test_when_it_is_full_the_longest_unasked_goes() -> None:
    memory = a_memory(most=2)
    for serial in (1, 2):
        memory.remember(an_id(serial), a_remembered(), forgettings=memory.forgettings)
    memory.recall(an_id(1), NOW)

    memory.remember(an_id(3), a_remembered(), forgettings=memory.forgettings)

    assert [memory.recall(an_id(serial), NOW) is None for serial in (1, 2, 3)] == [False, True, False]


def test_remembers_nothing_where_there_is_no_room() -> None:
    memory = a_memory(most=0)

    memory.remember(an_id(), a_remembered(), forgettings=memory.forgettings)

    assert len(memory) == 0
