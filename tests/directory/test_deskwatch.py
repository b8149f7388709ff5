"""Certificates for password mails are warned of a month ahead, once a day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from directory.deskwatch import WARNED_BEFORE, DeskCertificates
from directory.organization import Correspondence, Organization, PasswordMail
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW
from tests.directory.delivery.certificates import a_bare_certificate

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Some:
    """Two organizations, of which one has its passwords sent."""

    organizations: tuple[Organization, ...]

    async def all(self) -> Sequence[Organization]:
        return self.organizations


@pytest.fixture
def watch() -> DeskCertificates:
    certificate = a_bare_certificate(ec.generate_private_key(ec.SECP256R1()))
    mail = PasswordMail(
        mailbox=Mailbox.parse("desk@hospital.org"), certificate=certificate.public_bytes(Encoding.DER)
    )
    sending = replace(an_organization(), correspondence=Correspondence(password_mail=mail))
    return DeskCertificates(organizations=Some((sending, an_organization(slug="silent"))))


async def test_nothing_is_said_while_there_is_time(
    watch: DeskCertificates, caplog: pytest.LogCaptureFixture
) -> None:
    assert await watch.perform(NOW + 365 * DAY - WARNED_BEFORE - DAY) == 0

    assert caplog.messages == []


async def test_warns_once_a_day_from_a_month_ahead(
    watch: DeskCertificates, caplog: pytest.LogCaptureFixture
) -> None:
    begun = NOW + 365 * DAY - WARNED_BEFORE
    for hours in (0, 1, 23, 24):
        assert await watch.perform(begun + timedelta(hours=hours)) == 0

    assert len(caplog.messages) == 2
    assert "password mails of hospital ends on 2027-11-22" in caplog.text
    assert "silent" not in caplog.text
