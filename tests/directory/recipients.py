"""Recipients with links: good values, and where links lead, in memory."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import PrivateKey, to_pkcs8
from ca.sealing import Sealer
from directory.audit import AuditEvent
from directory.enrolmentsecrets import recipient_key_identity, relay_password_identity
from directory.links import LinkPurpose, NewLink, PresentedLink, issue_link
from directory.organization import Organization
from directory.recipient import Recipient
from tests.builders import ALICE, NOW, Authority, a_certificate
from tests.directory.builders import an_organization

PASSWORD = "Q4W8Z-7H2KD-93MXV-N5TRB-6C0GP"


def a_recipient(
    authority: Authority,
    key: PrivateKey,
    sealer: Sealer,
    *,
    enrolment_id: str = "0123456789abcdef0123456789abcdef",
    mailbox: Mailbox = ALICE,
    organization: Organization | None = None,
    language: str = "en",
    package_format: KeyPackageFormat = KeyPackageFormat.COMPATIBLE,
) -> Recipient:
    organization = organization or an_organization()
    organization_id = organization.organization_id
    certificate = a_certificate(authority, key.public_key(), mailbox=mailbox)
    return Recipient(
        link_id="not yet",
        expires_at=NOW + timedelta(days=30),
        enrolment_id=enrolment_id,
        organization=organization,
        mailbox=mailbox,
        language=language,
        package_format=package_format,
        certificate=certificate.public_bytes(Encoding.DER),
        chain=tuple(one.public_bytes(Encoding.DER) for one in authority.chain),
        live=True,
        proven=False,
        sealed_key=sealer.seal(to_pkcs8(key), recipient_key_identity(enrolment_id, organization_id)),
        sealed_password=sealer.seal(
            PASSWORD.encode(), relay_password_identity(enrolment_id, organization_id)
        ),
    )


@dataclass
class LinkBook:
    """Where links lead, and what was fetched: `RecipientStore`."""

    links: dict[str, tuple[NewLink, Recipient]] = field(default_factory=dict)
    downloads: dict[str, int] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)
    asked: int = 0
    """How often a link was looked for."""
    failure: Exception | None = None
    """What reading or writing runs into."""

    def issue(self, recipient: Recipient, purpose: LinkPurpose = LinkPurpose.INSTALL) -> str:
        """Return the token of a new link."""
        token, link = issue_link(purpose, recipient.expires_at)
        self.links[link.link_id] = (link, replace(recipient, link_id=link.link_id))
        return token

    def change(self, token: str, **changes: object) -> None:
        """Change whom a link leads to."""
        link, recipient = self.links[token[:16]]
        self.links[token[:16]] = (link, replace(recipient, **changes))  # type: ignore[arg-type]  # a test's own

    async def linked(self, presented: PresentedLink, purpose: LinkPurpose, now: datetime) -> Recipient | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        link, recipient = self.links.get(presented.link_id, (None, None))
        genuine = link is not None and link.purpose is purpose and presented.matches(link.digest)
        return recipient if genuine and recipient is not None and recipient.expires_at > now else None

    async def record_download(self, link_id: str, event: AuditEvent, *, most: int) -> bool:
        if self.failure is not None:
            raise self.failure
        if self.downloads.get(link_id, 0) >= most:
            return False
        self.downloads[link_id] = self.downloads.get(link_id, 0) + 1
        self.events.append(event)
        return True
