"""What does the practice come to, in plain values? For the words of the statement, and for programs.

The keys are stable: programs read them as `pushpki cps --json` prints them. No secret among them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ca.keys import algorithm_of
from ca.passwords import REQUIRED_BITS, PasswordStyle
from ca.profiles import (
    DOCUMENTATION_POLICY_OID,
    LONGEST_VALIDITY,
    Profile,
    extended_key_usage,
    key_usage,
)
from ca.revocation import RevocationReason
from ca.signing import SIGNATURE_HASH, SignatureScheme
from directory.audit_requirements import REQUIREMENTS
from directory.bounces import pausing
from directory.changes import INTERVAL, TRUST
from directory.cps.practice import Crossing, Delivering, Issuing, Keeping, Practice, StandingAuthority
from directory.crl_invariants import GRACE
from directory.delivery.exchanges.settings import LeastProtection
from directory.enrolmentsecrets import PASSWORD_RULES
from directory.limits import MintRates
from directory.mailbudget import BUDGET_PERIOD, MOST_KEY_MAILS
from directory.ocsp import NeverIssuedPolicy, NoncePolicy
from directory.ocsp_responders import ResponderKey
from directory.organization import Organization
from directory.policy import DOMSEC_LOCAL_PARTS
from directory.timekeeping import TOLERANCE

Facts: TypeAlias = Mapping[str, object]
"""Values that JSON can hold, by name."""

_KEY_USAGES = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
}
_SCHEMES = {SignatureScheme.PKCS1: "RSASSA-PKCS1-v1_5", SignatureScheme.PSS: "RSASSA-PSS"}


def facts_of(practice: Practice, now: datetime) -> Facts:
    """Return everything that the statement states."""
    issuing = practice.issuing
    return {
        "document": {
            "software": practice.software,
            "date": now.date().isoformat(),
            "policy_oid": _policy_oid(issuing.profile),
            "policy_is_documentation": _policy_oid(issuing.profile) == DOCUMENTATION_POLICY_OID,
        },
        "issuers": [_authority(one, issuing) for one in practice.authorities],
        "cross_certificates": _cross_certificates(practice.crossing, now),
        "isolated_need_own_issuer": issuing.isolated_need_own_issuer,
        "organizations": [_organization(one) for one in practice.organizations],
        "recipients": _recipients(issuing.profile, now),
        "signatures": {"scheme": _SCHEMES[issuing.scheme], "hash": SIGNATURE_HASH.name.upper()},
        "publication": {
            "base_url": issuing.publication.base_url,
            "ocsp_url": issuing.publication.ocsp_url,
        },
        "crl": {
            "interval_hours": _hours(issuing.crls.interval),
            "validity_days": _days(issuing.crls.validity),
            "after_revocation_seconds": _seconds(GRACE),
            "partitions": issuing.crl_partitions,
            "long_entries": issuing.crls.at_once,
            "long_hours": _hours(issuing.crls.pause),
        },
        "ocsp": _ocsp(issuing),
        "revocation": {
            "reasons": [reason.value for reason in RevocationReason],
            "seen_within_seconds": _plain(TRUST + INTERVAL),
        },
        "mint": _mint(issuing),
        "successor_days": _days(issuing.successor_before),
        "renewal": {
            "days_before": _days(issuing.renewal.before),
            "lead_days_before": _days(issuing.renewal.lead_before),
            "per_minute": issuing.renewal.rate.burst,
        },
        "passwords": {
            "required_bits": _plain(REQUIRED_BITS),
            "styles": [_password_style(style) for style in PasswordStyle],
        },
        "recovery": {
            "approvals": practice.delivering.recovery.approvals,
            "hours": _hours(practice.delivering.recovery.lifetime),
        },
        "hold": {"days": _days(practice.delivering.delivery.hold)},
        "proof": {
            "asked": practice.delivering.asks_for_proofs,
            "reminder_days": _days(practice.delivering.follow_up.reminder_after),
            "unproven_days": _days(practice.delivering.follow_up.unproven_after),
        },
        "mail": _mail(practice.delivering),
        "access": _access(practice.keeping, practice.delivering),
        "storage": {
            "database": "PostgreSQL" if practice.keeping.is_postgresql else "SQLite",
            "master_key_has_passphrase": practice.keeping.master_key_has_passphrase,
        },
        "audit": {
            "signed_within_seconds": _seconds(practice.keeping.audit_signed_within),
            "heads_leave": practice.keeping.audit_heads_leave,
            "clock_tolerance_minutes": _plain(TOLERANCE / timedelta(minutes=1)),
            "requirements": [
                {
                    "item": one.item,
                    "what": one.what,
                    "kinds": [kind.value for kind in one.kinds],
                    "instead": one.instead,
                }
                for one in REQUIREMENTS
            ],
        },
    }


def _policy_oid(profile: Profile) -> str:
    return profile.policy_oid.dotted_string if profile.policy_oid is not None else ""


def _authority(authority: StandingAuthority, issuing: Issuing) -> Facts:
    certificate = authority.certificate
    return {
        "subject": certificate.subject.rfc4514_string(),
        "purpose": authority.purpose.value,
        "key_algorithm": algorithm_of(certificate.public_key()).value,
        "key_place": _key_place(authority),
        "not_before": certificate.not_valid_before_utc.date().isoformat(),
        "not_after": certificate.not_valid_after_utc.date().isoformat(),
        "state": authority.state.value,
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "certificate_url": issuing.publication.certificate_url(authority.issuer_id),
        "crl_url": issuing.publication.crl_url(authority.issuer_id),
        "name_constraints": _name_constraints(certificate),
    }


_IN_TOKEN = "in a PKCS#11 token, which it never leaves"  # noqa: S105 - a place, not a password
_SEALED = "in the database, sealed"


def _cross_certificates(crossing: Crossing, now: datetime) -> Facts:
    """Tell of those that have not expired."""
    return {
        "by_others": [
            {"of": _text(one.subject), "by": _text(one.issuer), "until": _date(one), "sha256": _sha256(one)}
            for one in crossing.by_others
            if one.not_valid_after_utc > now
        ],
        "of_others": [
            {
                "of": _text(one.subject),
                "by": _text(one.issuer),
                "until": _date(one),
                "sha256": _sha256(one),
                "name_constraints": _name_constraints(one),
                "revoked": revoked_at.date().isoformat() if revoked_at else None,
            }
            for one, revoked_at in crossing.of_others
            if one.not_valid_after_utc > now
        ],
    }


def _text(name: x509.Name) -> str:
    return name.rfc4514_string()


def _date(certificate: x509.Certificate) -> str:
    return certificate.not_valid_after_utc.date().isoformat()


def _sha256(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _key_place(authority: StandingAuthority) -> str:
    if authority.has_token_key:
        return _IN_TOKEN
    return _SEALED if authority.has_sealed_key else "elsewhere"


def _name_constraints(certificate: x509.Certificate) -> str:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return "none"
    permitted, excluded = constraints.permitted_subtrees or (), constraints.excluded_subtrees or ()
    named = [f"permitted {one.value}" for one in permitted] + [f"excluded {one.value}" for one in excluded]
    return ", ".join(named)


def _organization(organization: Organization) -> Facts:
    letters, rule = organization.correspondence, PASSWORD_RULES[organization.password_style]
    channels = ["its agents"]
    if letters.webhook is not None:
        channels.append("webhook")
    if letters.password_mail is not None:
        channels.append(f"encrypted mail to {letters.password_mail.mailbox}")
    return {
        "slug": organization.slug,
        "name": organization.name,
        "domains": sorted(organization.domains),
        "contact": organization.contact,
        "isolated": organization.isolated,
        "package_format": organization.package_format.value,
        "package_formats": {domain: one.value for domain, one in sorted(letters.package_formats.items())},
        "package_chain": letters.package_chain,
        "password_style": rule.style.value,
        "password_units": rule.units,
        "password_bits": round(rule.entropy_bits),
        "password_channels": channels,
        "key_delivery": letters.key_delivery.value,
        "relay_days": _days(letters.relay_lifetime),
        "end_of_hold": organization.hold_policy.end.value,
        "escrows_signing_keys": organization.hold_policy.escrows_signing_keys,
        "mail_from": str(organization.mail_from),
        "mail_route": "through its smart host" if organization.smart_host else "directly to mail exchangers",
        "dkim_selector": letters.dkim.selector if letters.dkim else None,
        "language": letters.language,
        "notices_to": str(letters.notices_to) if letters.notices_to else None,
        "renewal": organization.renewal.value,
    }


def _recipients(profile: Profile, now: datetime) -> Facts:
    usage = key_usage(profile.purpose, profile.key_algorithm)
    extended = extended_key_usage(profile.purpose)
    not_before, _ = profile.validity_from(now)
    return {
        "purpose": profile.purpose.value,
        "signs": usage.digital_signature,
        "key_algorithm": profile.key_algorithm.value,
        "validity_days": _days(profile.validity),
        "longest_validity_days": LONGEST_VALIDITY[profile.purpose].days,
        "backdated_hours": _hours(now.replace(microsecond=0) - not_before),
        "key_usage": [name for name, field in _KEY_USAGES.items() if getattr(usage, field)],
        "extended_key_usage": [_name(oid) for oid in extended or ()],
        "extensions": [
            {"name": _name(extension.oid), "critical": extension.critical}
            for extension in profile.extensions()
        ],
    }


def _name(oid: x509.ObjectIdentifier) -> str:
    return _OIDS.get(oid.dotted_string, oid.dotted_string)


_OIDS = {
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.2.840.113549.1.9.15": "smimeCapabilities",
    "2.5.29.15": "keyUsage",
    "2.5.29.19": "basicConstraints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.37": "extendedKeyUsage",
}
"""The names that RFC 5280 and RFC 8551 give to what recipients' certificates may hold."""


def _ocsp(issuing: Issuing) -> Facts:
    return {
        "validity_hours": _hours(issuing.ocsp.validity),
        "nonce": NoncePolicy(issuing.ocsp.nonce).value,
        "never_issued": NeverIssuedPolicy(issuing.ocsp.never_issued).value,
        "responder_algorithm": issuing.responder.key_algorithm.value,
        "responder_days": _days(issuing.responder.validity),
        "responder_key_place": _IN_TOKEN if issuing.responder_key is ResponderKey.TOKEN else _SEALED,
    }


def _mint(issuing: Issuing) -> Facts:
    rules, policy = issuing.rules, issuing.policy
    return {
        "limits": _limits(rules.rates),
        "patience_seconds": _seconds(rules.patience),
        "retry_after_seconds": _seconds(rules.retry_after),
        "delivery_days": _days(rules.delivery_lifetime),
        "key_pool_size": issuing.key_pool_size,
        "stored_keys": issuing.stored_keys,
        "stored_key_days": _days(issuing.stored_key_lifetime),
        "reserved_local_parts": sorted(policy.reserved_local_parts | DOMSEC_LOCAL_PARTS),
        "reserved_domains": sorted(policy.reserved_domains),
        "international_local_parts": policy.international_local_parts,
    }


def _limits(rates: MintRates) -> list[Facts]:
    named = (
        ("for a gateway", rates.gateway_hour),
        ("for a gateway, in all", rates.gateway_day),
        ("for an organization", rates.organization_day),
        ("for a mailbox, tags and dots taken away", rates.recipient_day),
        ("for a recipient domain", rates.domain_day),
    )
    return [{"name": name, "burst": one.burst, "period_hours": _hours(one.period)} for name, one in named]


def _password_style(style: PasswordStyle) -> Facts:
    rule = PASSWORD_RULES[style]
    return {"name": style.value, "units": rule.units, "bits": round(rule.entropy_bits)}


def _mail(delivering: Delivering) -> Facts:
    return {
        "budget": MOST_KEY_MAILS,
        "budget_days": _days(BUDGET_PERIOD),
        "pause_after_bounces": pausing.MOST_HARD_BOUNCES,
        "pause_within_hours": _hours(pausing.WITHIN),
        "pause_hours": _hours(pausing.PAUSE),
        "least": LeastProtection(delivering.direct.least).value,
        "dane": delivering.direct.dnssec,
        "clear_smart_hosts": delivering.delivery.allow_clear_beyond_loopback,
    }


def _access(keeping: Keeping, delivering: Delivering) -> Facts:
    return {
        "ldap_suffix": keeping.ldap_suffix,
        "anonymous_read": keeping.anonymous_read.value,
        "clear_from_loopback": keeping.clear_from_loopback,
        "https": keeping.https,
        "pages_url": delivering.pages_url,
    }


def _days(period: timedelta) -> float:
    return _plain(period / timedelta(days=1))


def _hours(period: timedelta) -> float:
    return _plain(period / timedelta(hours=1))


def _seconds(period: timedelta) -> float:
    return _plain(period.total_seconds())


def _plain(number: float) -> float:
    """Return a whole number as such: 7 rather than 7.0."""
    return int(number) if number == int(number) else number
