"""How many connections there may be, and how many of one place."""

import pytest

from directory.ldap.attendance import Attendance


def an_attendance(*, most: int = 10, most_of_peer: int = 2) -> Attendance:
    return Attendance(most=most, most_of_peer=most_of_peer)


def test_one_address_has_its_share_and_others_have_theirs() -> None:
    attendance = an_attendance()
    for _ in range(2):
        assert attendance.has_room("192.0.2.7")
        attendance.enter("192.0.2.7")

    assert not attendance.has_room("192.0.2.7")
    assert attendance.has_room("192.0.2.8")
    attendance.leave("192.0.2.7")
    assert attendance.has_room("192.0.2.7")


def test_all_together_have_a_limit_which_holds_for_this_machine_too() -> None:
    attendance = an_attendance(most=3)
    for _ in range(3):
        assert attendance.has_room("127.0.0.1")
        attendance.enter("127.0.0.1")

    assert not attendance.has_room("127.0.0.1")
    assert not attendance.has_room("192.0.2.7")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("2001:db8::1", "2001:0db8:0:0::2"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_a_site_is_one_place(one: str, other: str) -> None:
    attendance = an_attendance(most_of_peer=1)
    attendance.enter(one)

    assert not attendance.has_room(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8:0:1::1"), ("192.0.2.7", "192.0.2.8"), ("0.0.0.1", "::1:0:0:0:1")],
)
def test_two_sites_are_two(one: str, other: str) -> None:
    attendance = an_attendance(most_of_peer=1)
    attendance.enter(one)

    assert attendance.has_room(other)


def test_who_was_present_for_a_while_is_gone_afterwards() -> None:
    attendance = an_attendance(most_of_peer=1)
    for _ in range(3):
        with attendance.present("192.0.2.7"):
            assert not attendance.has_room("192.0.2.7")
        assert attendance.has_room("192.0.2.7")
