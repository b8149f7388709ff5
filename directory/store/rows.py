"""How does a row become a value? Columns of joins, and the frozen values made of them."""

from typing import Any

from sqlalchemy import Label, Row, Table, func, select

from ca.address import Addressee, Mailbox, MailDomain
from ca.keypackage import KeyPackageFormat
from ca.passwords import PasswordStyle
from ca.sealing import SealedSecret
from directory.organization import Organization, SmartHost, SmtpSecurity
from directory.store import tables

AnyRow = Row[*tuple[Any, ...]]


def labelled(table: Table, prefix: str) -> tuple[Label[Any], ...]:
    """Return a table's columns under names that stay apart in a join."""
    return tuple(column.label(f"{prefix}_{column.name}") for column in table.c)


_DOMAINS = (
    select(func.aggregate_strings(tables.organization_domains.c.domain, " "))
    .where(tables.organization_domains.c.organization_id == tables.organizations.c.id)
    .correlate(tables.organizations)
    .scalar_subquery()
)

ORGANIZATION = (*labelled(tables.organizations, "organization"), _DOMAINS.label("organization_domains"))
"""The columns an organization is made of, in a select from `organizations`."""


def organization(row: AnyRow) -> Organization:
    """Make the organization of a row with the columns `ORGANIZATION`."""
    return Organization(
        organization_id=row.organization_id,
        slug=row.organization_slug,
        name=row.organization_name,
        domains=frozenset((row.organization_domains or "").split()),
        mail_from=mailbox(row.organization_mail_from),
        smart_host=SmartHost(
            host=row.organization_smtp_host,
            port=row.organization_smtp_port,
            security=SmtpSecurity(row.organization_smtp_security),
            username=row.organization_smtp_username,
            sealed_password=sealed(
                row.organization_smtp_password_master_key_id,
                row.organization_smtp_password_wrapped_key,
                row.organization_smtp_password_ciphertext,
            ),
        ),
        isolated=row.organization_isolated,
        package_format=KeyPackageFormat(row.organization_package_format),
        password_style=PasswordStyle(row.organization_password_style),
        contact=row.organization_contact,
    )


def mailbox(text: str) -> Mailbox:
    """Make a mailbox of an address as stored, which is as one prints it."""
    local_part, _, domain = text.rpartition("@")
    return Mailbox(local_part=local_part, domain=domain)


def addressee(text: str) -> Addressee:
    """Make a mailbox, or a domain, of what a certificate is stored for."""
    return mailbox(text) if "@" in text else MailDomain(domain=text)


def sealed(
    master_key_id: str | None, wrapped_key: bytes | None, ciphertext: bytes | None
) -> SealedSecret | None:
    """Make a sealed secret of its three columns; None if it was destroyed, or never was."""
    if master_key_id is None or wrapped_key is None or ciphertext is None:
        return None
    return SealedSecret(master_key_id=master_key_id, wrapped_key=wrapped_key, ciphertext=ciphertext)


def sealed_columns(prefix: str, secret: SealedSecret | None) -> dict[str, str | bytes | None]:
    """Return the three columns of a sealed secret."""
    return {
        f"{prefix}_master_key_id": secret.master_key_id if secret else None,
        f"{prefix}_wrapped_key": secret.wrapped_key if secret else None,
        f"{prefix}_ciphertext": secret.ciphertext if secret else None,
    }
