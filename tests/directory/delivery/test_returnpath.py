from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from directory.delivery.returnpath import (
    LONGEST_LOCAL_PART,
    has_room_for_a_token,
    read_bare_token,
    read_token,
    return_path,
)
from directory.organization import Correspondence, Organization
from tests.directory.builders import an_organization

TOKEN = "5f1c2ab94e0d47c8b3a6912f7d80e6c4"


def with_bounces_to(address: str) -> Organization:
    return replace(an_organization(), correspondence=Correspondence(bounce_address=Mailbox.parse(address)))


def test_bounces_come_to_the_sender_tagged() -> None:
    assert str(return_path(an_organization(), TOKEN)) == f"keys+{TOKEN}@hospital.org"


def test_bounces_come_to_the_address_made_for_them() -> None:
    organization = with_bounces_to("b@bounces.hospital.org")
    assert str(return_path(organization, TOKEN)) == f"b+{TOKEN}@bounces.hospital.org"


def test_the_local_part_has_at_most_64_octets() -> None:
    fits = with_bounces_to("b" * LONGEST_LOCAL_PART + "@hospital.org")
    too_long = with_bounces_to("b" * (LONGEST_LOCAL_PART + 1) + "@hospital.org")

    assert len(return_path(fits, TOKEN).local_part) == 64
    assert return_path(too_long, TOKEN) == too_long.correspondence.bounce_address
    assert not has_room_for_a_token(Mailbox.parse("b" * (LONGEST_LOCAL_PART + 1) + "@hospital.org"))


def test_an_address_as_long_as_addresses_get_has_no_room() -> None:
    domain = ".".join(["d" * 61] * 3) + ".d" * 15 + ".org"
    assert not has_room_for_a_token(Mailbox(local_part="bounces", domain=domain))


@pytest.mark.parametrize(
    "address",
    [
        f"keys+{TOKEN}@hospital.org",
        f"<keys+{TOKEN}@hospital.org>",
        f"KEYS+{TOKEN.upper()}@HOSPITAL.ORG",
        f"keys+more+{TOKEN}@hospital.org",
        f" keys+{TOKEN}@rewritten.example.net ",
    ],
)
def test_the_token_is_read_as_mail_servers_write_it(address: str) -> None:
    assert read_token(address) == TOKEN


@pytest.mark.parametrize(
    "address",
    [
        "",
        "keys@hospital.org",
        f"{TOKEN}@hospital.org",
        f"keys+{TOKEN}",
        f"keys+{TOKEN}0@x.org",
        f"k+{TOKEN[1:]}@x.org",
    ],
)
def test_what_has_no_token_has_none(address: str) -> None:
    assert read_token(address) is None


def test_an_envelope_identifier_is_a_token_alone() -> None:
    assert read_bare_token(f" {TOKEN} ") == TOKEN
    assert read_bare_token(f"x{TOKEN}") is None


@given(st.text(max_size=100))
def test_any_text_is_answered(text: str) -> None:
    assert read_token(text) is None or len(str(read_token(text))) == 32
