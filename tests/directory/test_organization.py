from dataclasses import replace

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.organization import Correspondence
from tests.directory.builders import an_organization


def test_a_recipients_domain_may_need_its_own_format() -> None:
    letters = Correspondence(package_formats={"modern.example.org": KeyPackageFormat.MODERN})
    organization = replace(an_organization(), correspondence=letters)

    def format_for(address: str) -> KeyPackageFormat:
        return organization.package_format_for(Mailbox.parse(address))

    assert format_for("anna@modern.example.org") is KeyPackageFormat.MODERN
    assert format_for("anna@example.org") is KeyPackageFormat.COMPATIBLE
    # Each domain by itself: a provider's subdomains are other people's machines.
    assert format_for("anna@sub.modern.example.org") is KeyPackageFormat.COMPATIBLE
