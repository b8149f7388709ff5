"""How does a row become a value? Columns of joins, and the frozen values made of them."""

import json
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Label, Row, Table, func, select

from ca.address import Addressee, Mailbox, MailDomain
from ca.keypackage import KeyPackageFormat
from ca.passwords import PasswordStyle
from ca.pkcs11 import TokenKey
from ca.sealing import SealedSecret
from directory.organization import (
    Correspondence,
    Dkim,
    EndOfHold,
    HoldPolicy,
    KeyDelivery,
    Organization,
    PasswordMail,
    Renewal,
    SmartHost,
    SmtpSecurity,
    Webhook,
)
from directory.store import tables

AnyRow = Row[*tuple[Any, ...]]


def token_key(row: AnyRow) -> TokenKey | None:
    """Return where in a token the key of a row is; None if it is in none."""
    return None if row.token_key is None else TokenKey(token=row.token, key_id=row.token_key)


def token_columns(key: TokenKey | None) -> dict[str, str | None]:
    """Return the columns that say where in a token a key is."""
    return {"token": key.token if key else None, "token_key": key.key_id if key else None}


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
        smart_host=_smart_host(row),
        isolated=row.organization_isolated,
        package_format=KeyPackageFormat(row.organization_package_format),
        password_style=PasswordStyle(row.organization_password_style),
        contact=row.organization_contact,
        correspondence=_correspondence(row),
        hold_policy=HoldPolicy(
            end=EndOfHold(row.organization_end_of_hold),
            escrows_signing_keys=row.organization_escrow_signing_keys,
        ),
        renewal=Renewal(row.organization_renewal),
    )


def _smart_host(row: AnyRow) -> SmartHost | None:
    if row.organization_smtp_host is None:
        return None
    return SmartHost(
        host=row.organization_smtp_host,
        port=row.organization_smtp_port,
        security=SmtpSecurity(row.organization_smtp_security),
        username=row.organization_smtp_username,
        sealed_password=_sealed_of(row, "smtp_password"),
    )


def _correspondence(row: AnyRow) -> Correspondence:
    dkim_key, webhook_secret = _sealed_of(row, "dkim_key"), _sealed_of(row, "webhook_secret")
    formats = json.loads(row.organization_package_formats)
    return Correspondence(
        language=row.organization_language,
        sender_name=row.organization_sender_name,
        key_delivery=KeyDelivery(row.organization_key_delivery),
        package_chain=row.organization_package_chain,
        package_formats=MappingProxyType(
            {domain: KeyPackageFormat(one) for domain, one in sorted(formats.items())}
        ),
        bounce_address=_perhaps_mailbox(row.organization_bounce_address),
        dkim=Dkim(selector=row.organization_dkim_selector, sealed_key=dkim_key) if dkim_key else None,
        webhook=Webhook(url=row.organization_webhook_url, sealed_secret=webhook_secret)
        if webhook_secret
        else None,
        password_mail=PasswordMail(
            mailbox=mailbox(row.organization_password_mail), certificate=row.organization_password_certificate
        )
        if row.organization_password_mail
        else None,
        notices_to=_perhaps_mailbox(row.organization_notices_to),
        relay_lifetime=timedelta(days=row.organization_relay_days),
    )


def _sealed_of(row: AnyRow, prefix: str) -> SealedSecret | None:
    mapping = row._mapping  # noqa: SLF001 - the public way to a column by a computed name
    return sealed(
        mapping[f"organization_{prefix}_master_key_id"],
        mapping[f"organization_{prefix}_wrapped_key"],
        mapping[f"organization_{prefix}_ciphertext"],
    )


def _perhaps_mailbox(text: str | None) -> Mailbox | None:
    return None if text is None else mailbox(text)


def organization_columns(organization: Organization) -> dict[str, object]:
    """Return the columns that describe an organization, besides its identifier, slug and moments."""
    host, letters = organization.smart_host, organization.correspondence
    dkim, webhook, password_mail = letters.dkim, letters.webhook, letters.password_mail
    formats = {domain: one.value for domain, one in sorted(letters.package_formats.items())}
    return {
        "name": organization.name,
        "mail_from": str(organization.mail_from),
        "smtp_host": host.host if host else None,
        "smtp_port": host.port if host else None,
        "smtp_security": host.security.value if host else None,
        "smtp_username": host.username if host else None,
        **sealed_columns("smtp_password", host.sealed_password if host else None),
        "isolated": organization.isolated,
        "package_format": organization.package_format.value,
        "password_style": organization.password_style.value,
        "contact": organization.contact,
        "language": letters.language,
        "sender_name": letters.sender_name,
        "key_delivery": letters.key_delivery.value,
        "package_chain": letters.package_chain,
        "package_formats": json.dumps(formats),
        "bounce_address": str(letters.bounce_address) if letters.bounce_address else None,
        "dkim_selector": dkim.selector if dkim else None,
        **sealed_columns("dkim_key", dkim.sealed_key if dkim else None),
        "webhook_url": webhook.url if webhook else None,
        **sealed_columns("webhook_secret", webhook.sealed_secret if webhook else None),
        "password_mail": str(password_mail.mailbox) if password_mail else None,
        "password_certificate": password_mail.certificate if password_mail else None,
        "notices_to": str(letters.notices_to) if letters.notices_to else None,
        "relay_days": letters.relay_lifetime.days,
        "end_of_hold": organization.hold_policy.end.value,
        "escrow_signing_keys": organization.hold_policy.escrows_signing_keys,
        "renewal": organization.renewal.value,
    }


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
