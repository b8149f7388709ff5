import pytest

from directory.access import AnonymousRead, is_loopback, may_read_anonymously


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to judge, not to listen on
        ("::", False),
    ],
)
def test_which_addresses_are_this_machine(address: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_loopback(address) is expected


@pytest.mark.parametrize(
    ("policy", "from_loopback", "from_elsewhere"),
    [
        (AnonymousRead.NOBODY, False, False),
        (AnonymousRead.LOOPBACK, True, False),
        (AnonymousRead.EVERYONE, True, True),
    ],
)
def test_who_may_read_without_credentials(
    policy: AnonymousRead,
    from_loopback: bool,  # noqa: FBT001 - a table's column
    from_elsewhere: bool,  # noqa: FBT001 - a table's column
) -> None:
    assert may_read_anonymously(policy, "127.0.0.1") is from_loopback
    assert may_read_anonymously(policy, "192.0.2.7") is from_elsewhere


def test_what_is_no_address_is_an_error_not_a_permission() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        may_read_anonymously(AnonymousRead.LOOPBACK, "localhost")
