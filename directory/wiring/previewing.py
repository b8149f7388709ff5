"""How do mails look? Stationery and an organization, put together for an operator's eyes."""

from dataclasses import dataclass

from directory.delivery.mime import Message
from directory.delivery.previewing import Wanted, specimen_message
from directory.delivery.stationery import Stationery
from directory.errors import Unknown
from directory.organization import Organization
from directory.wiring.installation import Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A mail with invented values, and what it was written from."""

    organization: Organization
    message: Message
    files: tuple[str, ...]


async def preview(installation: Installation, slug: str, wanted: Wanted) -> Preview:
    """Write a mail as an organization's recipients get it.

    Raises:
        ConfigurationRefused: the operator's templates cannot be used.
        Unknown: there is no such organization, message or specimen, or nobody who certifies.
    """
    organization = await installation.organizations.by_slug(slug)
    stationery = Stationery(installation.settings.delivery.templates)
    now = installation.clock.now()
    hierarchy = await installation.issuers.hierarchy()
    signer = hierarchy.signer(organization.scope, now)
    if signer is None:
        raise Unknown(kind="issuer", name="active")
    chain = hierarchy.chain(signer.issuer_id)
    message = specimen_message(stationery, organization, wanted, chain=chain, now=now)
    files = stationery.files(wanted.message, slug, message.language)
    return Preview(organization=organization, message=message, files=files)
