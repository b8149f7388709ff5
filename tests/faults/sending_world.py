"""Mints with real key mails, in a database of its own: what the crash runs of sending need to be there."""

import hashlib
from dataclasses import replace

from cryptography import x509

from ca.profiles import Purpose
from directory.organization import KeyDelivery, Organization
from directory.store.database import Database
from directory.store.issuers import SqlIssuers
from directory.store.master_keys import SqlMasterKeys
from directory.store.organizations import SqlOrganizations
from tests.contracts.world import MASTER_KEY, add_gateway, an_event, an_issuer, record
from tests.directory.builders import a_gateway
from tests.directory.delivery.builders import a_due_mail, a_fresh_enrolment
from tests.directory.delivery.composers import an_organization_that_writes
from tests.directory.delivery.sink import SmtpSink

NODE = "setup"


def an_organization_at(sink: SmtpSink) -> Organization:
    """Return one that signs its mails, attaches key packages and links to them."""
    organization = an_organization_that_writes(key_delivery=KeyDelivery.BOTH)
    return replace(organization, smart_host=sink.smart_host())


async def found(database: Database, organization: Organization) -> None:
    """Add what a mint needs to be there, with certificates of issuers that lead to a root."""
    await SqlMasterKeys(database, node=NODE).register(MASTER_KEY.key_id, an_event())
    await SqlOrganizations(database, node=NODE).add(organization, an_event())
    await add_gateway(database, a_gateway())
    issuing, root = a_due_mail().chain
    issuers = SqlIssuers(database, node=NODE)
    at_the_top = an_issuer("root-1", parent_id=None, purpose=Purpose.ROOT_CA)
    await issuers.add(replace(at_the_top, certificate=root), an_event())
    await issuers.add(replace(an_issuer(), certificate=issuing), an_event())


async def mint(database: Database, organization: Organization, number: int) -> str:
    """Commit a mint of its own; return the Message-ID of its key mail."""
    name = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    mail = a_due_mail(
        mail_id=name, enrolment_id=name, address=f"p{number}@example.org", organization=organization
    )
    fresh = a_fresh_enrolment(replace(mail, bounce_token=name), None)
    certificate = x509.load_der_x509_certificate(mail.certificate)
    published = replace(fresh.record.certificate, serial=certificate.serial_number)
    await record(database, replace(fresh.record, certificate=published), node=NODE)
    return mail.message_id
