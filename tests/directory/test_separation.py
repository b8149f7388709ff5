"""A password does not go where the key package went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from directory.separation import shares_channel

LABELS = st.text("abcdefghij", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("recipient", "domain"),
    [
        ("anna@clinic.example", "clinic.example"),
        ("anna@clinic.example", "CLINIC.example."),
        ("anna@clinic.example", "mail.clinic.example"),
        ("anna@ward.clinic.example", "clinic.example"),
    ],
)
def test_the_recipients_domain_and_what_is_below_or_above_it_is_his_channel(
    recipient: str, domain: str
) -> None:
    assert shares_channel(Mailbox.parse(recipient), domain)


@pytest.mark.parametrize(
    ("recipient", "domain"),
    [
        ("anna@clinic.example", "hospital.example"),
        ("anna@clinic.example", "notclinic.example"),
        ("anna@clinic.example", "example"),
        ("anna@clinic.example", "clinic.example.org"),
    ],
)
def test_other_domains_are_not(recipient: str, domain: str) -> None:
    assert not shares_channel(Mailbox.parse(recipient), domain)


@given(st.lists(LABELS, min_size=2, max_size=4).map(".".join), st.lists(LABELS, max_size=3))
def test_however_deep_it_is_nested(domain: str, below: list[str]) -> None:
    recipient = Mailbox.parse(f"anna@{domain}")

    assert shares_channel(recipient, ".".join([*below, domain]))
    assert shares_channel(Mailbox.parse(f"anna@{'.'.join([*below, domain])}"), domain)
