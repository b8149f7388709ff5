"""How does a due mail become a message in the organization's name? What every mail of ours has in common."""

from collections.abc import Mapping
from datetime import datetime

from ca.address import Mailbox
from directory.delivery.mime import Message, Picture
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import Stationery, content_id, display_name
from directory.delivery.templates import MessageText
from directory.organization import Organization


def letter(
    stationery: Stationery, mail: DueMail, message: str, *, variables: Mapping[str, str], now: datetime
) -> Message:
    """Return the mail in its recipient's language, under the organization's logo, with nothing attached.

    Raises:
        jinja2.TemplateError: a shipped template is broken, or a variable is missing.
    """
    return written(
        stationery,
        mail.organization,
        message,
        variables=variables,
        recipient=mail.recipient,
        language=mail.language,
        message_id=mail.message_id,
        now=now,
    )


def written(
    stationery: Stationery,
    organization: Organization,
    message: str,
    *,
    variables: Mapping[str, str],
    recipient: Mailbox,
    language: str,
    message_id: str,
    now: datetime,
) -> Message:
    """Return a mail that is about no enrolment.

    Raises:
        jinja2.TemplateError: as `letter`.
    """
    text = stationery.write(message, organization=organization, language=language, variables=variables)
    return Message(
        sender_name=display_name(organization),
        sender=organization.mail_from,
        recipient=recipient,
        subject=text.subject,
        date=now,
        message_id=message_id,
        language=text.language,
        plain=text.plain,
        html=text.html,
        picture=_picture_for(stationery, organization, text),
    )


def _picture_for(stationery: Stationery, organization: Organization, text: MessageText) -> Picture | None:
    """Return the organization's logo, if it has one and the page shows it."""
    logo = stationery.logo(organization)
    if logo is None or content_id(logo, organization) not in text.html:
        return None
    return Picture(
        content=logo.content,
        content_type=logo.content_type,
        file_name=logo.file_name,
        content_id=content_id(logo, organization),
    )
