"""Can the organizations' password mails be encrypted next month too? A daily look at their certificates."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from directory.organization import Organization

logger = logging.getLogger(__name__)

WARNED_BEFORE = timedelta(days=30)
_EVERY = timedelta(days=1)


class Organizations(Protocol):
    """The organizations."""

    async def all(self) -> Sequence[Organization]:
        """Return every one."""
        ...


class DeskCertificates:
    """The chore that warns of certificates for password mails that have expired or soon will, once a day."""

    def __init__(self, *, organizations: Organizations) -> None:
        self._organizations = organizations
        self._looked_at: datetime | None = None

    async def perform(self, now: datetime) -> int:
        """Log a warning for each; nothing is left to do after it."""
        if self._looked_at is not None and now < self._looked_at + _EVERY:
            return 0
        for organization in await self._organizations.all():
            ends = certificate_end(organization)
            if ends is not None and ends <= now + WARNED_BEFORE:
                logger.warning(
                    "the certificate for password mails of %s ends on %s; see 'pushpki org password-mail'",
                    organization.slug,
                    f"{ends:%Y-%m-%d}",
                )
        self._looked_at = now
        return 0


def certificate_end(organization: Organization) -> datetime | None:
    """Return until when passwords can be sent to the organization; None if none are."""
    wanted = organization.correspondence.password_mail
    if wanted is None:
        return None
    return x509.load_der_x509_certificate(wanted.certificate).not_valid_after_utc
