from datetime import timedelta

from directory.authorities import AuthorityBoard, PublishedAuthority, PublishedCrl
from tests.builders import NOW


def an_authority(certificate: bytes = b"certificate", *, crl: bytes | None = b"CRL") -> PublishedAuthority:
    return PublishedAuthority(certificate=certificate, is_root=False, crl=crl)


def a_crl(issuer_id: str = "a", *, number: int = 1, partition: int | None = None) -> PublishedCrl:
    return PublishedCrl(
        issuer_id=issuer_id,
        issuer_certificate=b"certificate",
        partition=partition,
        entries=3,
        der=b"CRL",
        number=number,
        this_update=NOW,
        next_update=NOW + timedelta(days=7),
    )


async def test_a_board_is_empty_until_something_is_shown() -> None:
    board = AuthorityBoard()

    assert (board.current(), board.crls(), board.crl("a")) == ((), (), None)
    assert await board.issuer_certificates() == {}


async def test_shows_what_was_put_on_it_last() -> None:
    board = AuthorityBoard()
    board.show({"a": an_authority()}, [a_crl()])
    board.show({"a": an_authority(crl=b"next"), "b": an_authority(b"root", crl=None)}, [a_crl(number=2)])

    assert board.current() == (an_authority(crl=b"next"), an_authority(b"root", crl=None))
    assert board.crls() == (a_crl(number=2),)
    assert (board.crl("a"), board.crl("b")) == (a_crl(number=2), None)
    assert await board.issuer_certificates() == {"a": b"certificate", "b": b"root"}


async def test_cross_certificates_stand_beside_the_issuers_own() -> None:
    board = AuthorityBoard()
    authority = PublishedAuthority(
        certificate=b"own", is_root=True, crl=None, cross_certificates=(b"by another",)
    )

    board.show({"a": authority}, [])

    assert await board.issuer_certificates() == {"a": b"own"}
    assert await board.cross_certificates() == {"a": (b"by another",)}


def test_whoever_asks_for_identity_sees_a_change_and_nothing_else() -> None:
    board = AuthorityBoard()
    board.show({"a": an_authority()}, [a_crl()])
    before = board.current()

    board.show({"a": an_authority()}, [a_crl()])
    unchanged = board.current()
    board.show({"a": an_authority(crl=b"next")}, [a_crl(number=2)])

    assert unchanged is before
    assert board.current() is not before


def test_a_partition_is_found_by_its_number_and_is_not_among_the_complete_ones() -> None:
    board = AuthorityBoard()
    complete, partition = a_crl(), a_crl(partition=7, number=2)

    board.show({"a": an_authority()}, [complete, partition])

    assert (board.crl("a"), board.crl("a", 7), board.crl("a", 8)) == (complete, partition, None)
    assert board.complete_crls() == (complete,)
    assert board.crls() == (complete, partition)
