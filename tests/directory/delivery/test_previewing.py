import email
from dataclasses import replace
from email import policy

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from ca.address import Mailbox
from directory.delivery.mime import Message
from directory.delivery.previewing import Wanted, find_specimen, marked_as_test, specimen_message
from directory.errors import Unknown
from directory.organization import Correspondence, KeyDelivery, Webhook, webhook_secret_identity
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW, a_sealer, a_stationery, an_authority
from tests.directory.delivery.equality import check_equal_in_content


def a_preview(message: str = "key_package", *, specimen: str | None = None, language: str = "en") -> Message:
    wanted = Wanted(message=message, specimen=specimen, language=language)
    chain = an_authority().chain
    return specimen_message(a_stationery(), an_organization(), wanted, chain=chain, now=NOW)


def test_what_is_attached_is_a_pkcs12_file_that_nobody_can_open() -> None:
    attachment = a_preview().attachment
    assert attachment is not None
    assert attachment.file_name == "encryption-key.p12"
    assert attachment.content.startswith(b"\x30\x82")
    for password in (b"", b"specimen", b"changeit"):
        with pytest.raises(ValueError, match=r"(?i)password"):
            pkcs12.load_pkcs12(attachment.content, password)


def test_only_what_carries_a_key_has_a_file() -> None:
    assert a_preview(specimen="link").attachment is None
    assert a_preview("reminder").attachment is None


@pytest.mark.parametrize("delivery", KeyDelivery)
def test_the_key_mail_is_shown_as_recipients_get_it(delivery: KeyDelivery) -> None:
    correspondence = Correspondence(key_delivery=delivery)
    organization = replace(an_organization(), correspondence=correspondence)
    assert find_specimen(Wanted(message="key_package"), organization).name == delivery.value
    named = Wanted(message="key_package", specimen="another-way")
    assert find_specimen(named, organization).name == "another-way"


def test_the_key_mail_says_what_the_organization_has_chosen() -> None:
    identity = webhook_secret_identity(an_organization().organization_id)
    webhook = Webhook(url="https://desk.hospital.org/", sealed_secret=a_sealer().seal(b"s", identity))
    chosen = Correspondence(webhook=webhook, package_chain=False)
    organization = replace(an_organization(), correspondence=chosen)

    def shown(specimen: str | None) -> str:
        wanted = Wanted(message="key_package", specimen=specimen, language="en")
        chain = an_authority().chain
        return specimen_message(a_stationery(), organization, wanted, chain=chain, now=NOW).plain

    assert "will tell you the password by another way" in shown(None)
    assert "Windows may ask" not in shown(None)
    assert "will call you" in shown("attachment"), "what is named is shown as it is"


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(message="no_such_message"),
        Wanted(message="../key_package"),
        Wanted(message="proof", specimen="no-such-specimen"),
    ],
)
def test_what_is_not_there_is_named(wanted: Wanted) -> None:
    with pytest.raises(Unknown):
        find_specimen(wanted, an_organization())


def test_no_two_previews_are_taken_for_the_same_mail() -> None:
    assert a_preview().message_id != a_preview().message_id


def test_goes_to_whom_it_is_wanted_for() -> None:
    wanted = Wanted(message="proof", recipient=Mailbox.parse("me@hospital.org"))
    message = specimen_message(a_stationery(), an_organization(), wanted, chain=an_authority().chain, now=NOW)
    assert str(message.recipient) == "me@hospital.org"


def test_a_test_says_so_first_and_everywhere() -> None:
    marked = marked_as_test(a_preview(language="de"))
    assert marked.subject == "TEST: Ihr Schlüssel für verschlüsselte E-Mails von City Hospital"
    assert marked.plain.startswith("TEST: this mail was sent to try something out. It holds no key")
    check_equal_in_content(marked.plain, marked.html)
    read = email.message_from_bytes(marked.to_bytes(), policy=policy.default)
    assert read["Subject"] == marked.subject


@pytest.mark.parametrize("html", ["<p>no body element</p>", "", "<BODY>x</BODY>"])
def test_a_page_of_somebodys_own_is_marked_too(html: str) -> None:
    assert "TEST: this mail" in marked_as_test(replace(a_preview(), html=html)).html
