"""What an operator types: recipients may be international, senders and agents not."""

import pytest

from directory.errors import ConfigurationRefused
from directory.settings import parse_mailbox, parse_recipient


def test_a_recipient_may_have_a_local_part_beyond_ascii() -> None:
    assert str(parse_recipient("ADDRESS", "jörg@Example.org")) == "jörg@example.org"
    assert str(parse_recipient("ADDRESS", "anna@example.org")) == "anna@example.org"


def test_nobody_else_may() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        parse_mailbox("--mail-from", "jörg@example.org")
    assert refused.value.key == "--mail-from"


def test_what_is_no_address_is_refused_by_the_name_of_its_argument() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        parse_recipient("ADDRESS", "jo\u0308rg@example.org")
    assert refused.value.key == "ADDRESS"
