"""What are the recipient pages made of?"""

import base64
from collections.abc import Callable

from directory.delivery.mobileconfig import ProfileSigner
from directory.delivery.stationery import Stationery, display_name
from directory.delivery.text import one_line
from directory.errors import ConfigurationRefused
from directory.http.pages.rendering import Sender
from directory.http.pages.services import PageServices
from directory.organization import Organization
from directory.proof import ProofDesk
from directory.recipient import RecipientDesk
from directory.settings import Settings, read_secret_file
from directory.store.proofs import SqlProofStore
from directory.store.recipients import SqlRecipientStore
from directory.store.suppressions import SqlSuppressions
from directory.suppression import OptOut
from directory.wiring.installation import Installation

_LONGEST_CONTACT = 500


def page_services(installation: Installation, on_queued: Callable[[], None]) -> PageServices:
    """Return what the pages use; `on_queued` is told when there is a key mail to send.

    Raises:
        ConfigurationRefused: the templates cannot be used, nor what profiles are to be signed with.
    """
    database, node, clock = installation.database, installation.node, installation.clock
    stationery = Stationery(installation.settings.delivery.templates)
    return PageServices(
        desk=RecipientDesk(
            store=SqlRecipientStore(database, node=node),
            sealer=installation.sealer,
            resender=installation.resender(on_queued),
            clock=clock,
            signer=profile_signer(installation.settings),
        ),
        prove=ProofDesk(store=SqlProofStore(database, node=node), clock=clock).prove,
        stop=OptOut(store=SqlSuppressions(database, node=node), clock=clock).stop,
        sender_of=lambda organization: _sender(organization, stationery),
    )


def profile_signer(settings: Settings) -> ProfileSigner | None:
    """Return what signs configuration profiles; None where nothing does.

    Raises:
        ConfigurationRefused: certificate or key cannot be used, or one of them is missing.
    """
    certificate, key = settings.pages.signing_certificate, settings.pages.signing_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationRefused(
            key="pages.signing_certificate",
            reason="certificate and key come together",
            remedy="set pages.signing_certificate and pages.signing_key, or neither",
        )
    try:
        chain = certificate.read_bytes()
    except OSError as error:
        raise ConfigurationRefused(
            key="pages.signing_certificate", reason=f"{certificate} cannot be read: {error.strerror}"
        ) from error
    return ProfileSigner(chain, read_secret_file("pages.signing_key", key))


def _sender(organization: Organization, stationery: Stationery) -> Sender:
    logo = stationery.logo(organization)
    picture = base64.b64encode(logo.content).decode() if logo is not None else ""
    return Sender(
        name=display_name(organization),
        contact=one_line(organization.contact, longest=_LONGEST_CONTACT),
        # Within the page: a logo of its own address would have to be guarded like the page.
        logo=f"data:{logo.content_type};base64,{picture}" if logo is not None else None,
    )
