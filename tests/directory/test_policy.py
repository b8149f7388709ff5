import pytest

from ca.address import Mailbox
from directory.policy import MintPolicy, Refusal
from tests.directory.builders import a_mint_context


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("alice@example.com", None),
        ("alice+news@example.com", None),
        ("info@example.com", None),
        ("no-reply@example.com", Refusal.RESERVED_LOCAL_PART),
        ("No-Reply+7@example.com", Refusal.RESERVED_LOCAL_PART),
        ("postmaster@example.com", Refusal.RESERVED_LOCAL_PART),
        ("domain-confidentiality-authority@example.com", Refusal.RESERVED_LOCAL_PART),
        ("Domain-Signing-Authority@example.com", Refusal.RESERVED_LOCAL_PART),
        ("review-authority+x@example.com", Refusal.RESERVED_LOCAL_PART),
        ("attribute-authority@example.com", Refusal.RESERVED_LOCAL_PART),
        ("nobody@other.example", Refusal.RESERVED_DOMAIN),
        ("nobody@a.b.test", Refusal.RESERVED_DOMAIN),
        ("nobody@printer.local", Refusal.RESERVED_DOMAIN),
        ("alice@example.con", Refusal.UNKNOWN_DOMAIN),
        ("alice@mail.example.co.uk", None),
        ("nurse@hospital.org", Refusal.OWN_DOMAIN),
        ("nurse@ward.hospital.org", Refusal.OWN_DOMAIN),
        ("nurse@nothospital.org", None),
        ("alice@example.company", None),
    ],
)
def test_which_addresses_are_never_minted(address: str, refusal: Refusal | None) -> None:
    context = a_mint_context(domains=frozenset({"hospital.org"}))

    assert MintPolicy().refusal(Mailbox.parse(address), context) is refusal


def test_a_local_part_beyond_ascii_is_minted_where_the_operator_says_so_alone() -> None:
    mailbox, context = Mailbox.parse_international("jörg@example.com"), a_mint_context()

    assert MintPolicy().refusal(mailbox, context) is Refusal.INTERNATIONAL_LOCAL_PART
    assert MintPolicy(international_local_parts=True).refusal(mailbox, context) is None
    assert MintPolicy().refusal(Mailbox.parse("anna@bücher.de"), context) is None


def test_a_revoked_address_is_not_minted_again() -> None:
    assert (
        MintPolicy().refusal(Mailbox.parse("a@example.com"), a_mint_context(revoked=True)) is Refusal.REVOKED
    )


def test_a_bounced_address_is_not_minted_again() -> None:
    assert (
        MintPolicy().refusal(Mailbox.parse("a@example.com"), a_mint_context(bounced=True)) is Refusal.BOUNCED
    )


def test_an_address_that_wants_no_mail_is_not_minted_whatever_else_there_is_to_say() -> None:
    context = a_mint_context(suppressed=True, bounced=True, revoked=True)

    assert MintPolicy().refusal(Mailbox.parse("a@example.com"), context) is Refusal.SUPPRESSED


def test_the_names_of_rfc_3183_stay_reserved_whatever_the_operator_lists() -> None:
    policy = MintPolicy(reserved_local_parts=frozenset(), reserved_domains=frozenset())
    mailbox = Mailbox.parse("domain-confidentiality-authority@example.com")

    assert policy.refusal(mailbox, a_mint_context()) is Refusal.RESERVED_LOCAL_PART
    assert policy.refusal(Mailbox.parse("postmaster@example.com"), a_mint_context()) is None
