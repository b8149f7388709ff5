"""What would a mail look like? A message of ours with invented values, to be looked at or to be tried out.

There is no key, no password and no link in it. What is attached is a PKCS#12 file of the size and kind of a
key package, for mail filters to have their say, with nothing in it but the authority's public certificates.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509

from ca.address import Mailbox
from ca.keypackage import build_keyless_package
from directory.delivery.keymail import CONTENT_TYPE, FILE_NAME, words_of_choice, words_of_fate
from directory.delivery.keymail import MESSAGE as KEY_MESSAGE
from directory.delivery.letters import written
from directory.delivery.mime import Attachment, Message
from directory.delivery.specimens import ADDRESS, SPECIMENS, Specimen
from directory.delivery.stationery import Stationery
from directory.errors import Unknown
from directory.organization import Organization

TEST_MARK = "TEST"
_TEST_NOTICE = (
    "TEST: this mail was sent to try something out. It holds no key, no password is on its way, its links"
    " lead nowhere, and nothing has to be done."
)
_BODY = re.compile(r"<body\b[^>]*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which mail is to be shown."""

    message: str
    specimen: str | None = None
    """In which way it turns out; None: as the organization's recipients get it."""
    language: str = ""
    recipient: Mailbox = field(default_factory=lambda: Mailbox.parse(ADDRESS))


def find_specimen(wanted: Wanted, organization: Organization) -> Specimen:
    """Return the values that are filled in.

    Raises:
        Unknown: there is no such message, or no such specimen of it.
    """
    specimens = SPECIMENS.get(wanted.message)
    if not specimens:
        raise Unknown(kind="message", name=wanted.message)
    name = wanted.specimen
    if name is None and wanted.message == KEY_MESSAGE:
        name = organization.correspondence.key_delivery.value
    found = next((one for one in specimens if name in {None, one.name}), None)
    if found is None:
        raise Unknown(kind=f"specimen of {wanted.message}", name=str(name))
    return found


def specimen_message(
    stationery: Stationery,
    organization: Organization,
    wanted: Wanted,
    *,
    chain: Sequence[bytes],
    now: datetime,
) -> Message:
    """Return the message with the specimen's values.

    Raises:
        Unknown: there is no such message, or no such specimen of it.
    """
    specimen = find_specimen(wanted, organization)
    variables = dict(specimen.variables)
    if wanted.message == KEY_MESSAGE and wanted.specimen is None:
        variables |= words_of_choice(organization, chain[-1])
        variables |= words_of_fate(organization.hold_policy.fate(may_sign=False), signs=False)
    composed = written(
        stationery,
        organization,
        wanted.message,
        variables=variables,
        recipient=wanted.recipient,
        language=wanted.language,
        # Of no enrolment, so of none that a bounce could be about.
        message_id=f"<test.{secrets.token_hex(16)}@{organization.mail_from.domain}>",
        now=now,
    )
    if not specimen.variables.get("has_attachment"):
        return composed
    certificates = [x509.load_der_x509_certificate(der) for der in chain]
    content = build_keyless_package(certificates, organization.package_format)
    attachment = Attachment(content=content, content_type=CONTENT_TYPE, file_name=FILE_NAME)
    return replace(composed, attachment=attachment)


def marked_as_test(message: Message) -> Message:
    """Return the message with the word TEST in its subject, and with a notice at its beginning."""
    notice = f"<p><strong>{_TEST_NOTICE}</strong></p>\n"
    body = _BODY.search(message.html)
    start = body.end() if body is not None else 0
    return replace(
        message,
        subject=f"{TEST_MARK}: {message.subject}",
        plain=f"{_TEST_NOTICE}\n\n{message.plain}",
        html=f"{message.html[:start]}\n{notice}{message.html[start:]}",
    )
