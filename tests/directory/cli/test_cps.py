"""`pushpki cps`: what the settings say is what the statement says."""

import pytest

from directory.settings import Settings
from tests.directory.cli.workplace import Workplace

STATED = {
    "master_key.passphrase_file": None,
    "database.url": None,
    "ca.public_url": "http://pki.clinic.org",
    "ca.profile": "dual",
    "ca.key_algorithm": "rsa-4096",
    "ca.validity_days": "365",
    "ca.policy_oid": "1.3.6.1.4.1.32473.1.2",
    "ca.international_local_parts": "true",
    "ca.key_pool_size": "7",
    "ca.key_pool_persisted": "500",
    "ca.key_pool_days": "9",
    "ca.prepare_next_days": "60",
    "ca.signature": "pss",
    "ca.isolated_issuers": "required",
    "ca.crl_hours": "12",
    "ca.crl_partitions": "16",
    "ca.crl_validity_days": "5",
    "ca.ocsp_validity_hours": "9",
    "ca.ocsp_nonce": "answer",
    "ca.ocsp_never_issued": "unknown",
    "ca.ocsp_responder_days": "20",
    "ca.ocsp_responder_key": "token",
    "directory.suffix": "o=clinic",
    "directory.anonymous_read": "everyone",
    "directory.credentials_in_clear_from_loopback": "false",
    "policy.reserved_local_parts": "nobody",
    "policy.reserved_domains": "nowhere",
    "limits.gateway_burst": "11",
    "limits.gateway_per_day": "12",
    "limits.organization_per_day": "13",
    "limits.recipient_per_day": "14",
    "limits.domain_per_day": "15",
    "mint.patience_seconds": "1.5",
    "mint.retry_after_seconds": "9",
    "mint.delivery_days": "2",
    "renewal.days_before": "20",
    "renewal.lead_days_before": "2",
    "renewal.per_hour": "60",
    "http.tls": "true",
    "delivery.hold_days": "3",
    "delivery.reminder_days": "2",
    "delivery.unproven_days": "20",
    "delivery.allow_clear_beyond_loopback": "true",
    "direct.resolver": None,
    "direct.dnssec": "true",
    "direct.require": "authenticated",
    "pages.url": "https://keys.clinic.org",
    "recovery.approvals": "3",
    "recovery.hours": "12",
    "audit.heads_file": "heads.jsonl",
    "cps.statements": None,
}
"""Settings that the statement states, and another value of each; None where a test of its own tries it."""

NOT_STATED = {
    *("service.node", "service.log_level"),  # names and talk
    *(
        "database.password_file",
        "master_key.file",
        "ca.key_pool_ledger",
        "tls.certificate",
        "tls.key",
    ),  # where files are
    *("pages.signing_certificate", "pages.signing_key", "delivery.templates"),
    *("ldap.client_ca_file", "delivery.ca_file", "webhook.ca_file"),
    *("http.listen", "ldap.listen", "ldaps.listen", "bounces.listen", "bounces.protocol"),  # addresses
    *("http.allowed_hosts", "http.trusted_proxies", "http.metrics", "direct.port", "delivery.helo_name"),
    *(
        "ca.key_pool_threads",
        "ca.key_pool_low",
        "ca.ocsp_remembered",
        "ldap.cache_mebibytes",
    ),  # how fast it is
    *("ldap.connections", "ldap.connections_per_address", "ldap.idle_seconds", "ldap.idle_gateway_seconds"),
    *("ldap.message_seconds", "delivery.in_flight", "delivery.connections_per_host"),
    *("delivery.first_retry_seconds", "delivery.poll_seconds", "webhook.timeout_seconds"),
    *("ldap.smime_attribute", "ldap.plain_attribute_names"),  # how answers look
    *("direct.allow_private", "webhook.allow_private"),  # laboratories
    # Which token it is: that a key is in one is stated with each CA.
    *("pkcs11.module", "pkcs11.label", "pkcs11.pin_file", "pkcs11.timeout_seconds"),
}
"""Settings that no section of RFC 3647 asks for."""

BESIDES = {
    "ca.key_pool_persisted": {"ca.key_pool_ledger": "ledger"},
    "ca.key_pool_days": {"ca.key_pool_ledger": "ledger", "ca.key_pool_persisted": "500"},
    # Who cannot confirm is not reminded, so that there is something to confirm it on.
    "delivery.reminder_days": {"pages.url": "https://keys.clinic.org"},
    "delivery.unproven_days": {"pages.url": "https://keys.clinic.org"},
    "direct.dnssec": {"direct.resolver": "127.0.0.1"},
}
"""What has to be set besides, for a setting to have an effect."""


def set_to(monkeypatch: pytest.MonkeyPatch, setting: str, value: str) -> None:
    monkeypatch.setenv(f"PUSHPKI_{setting.replace('.', '__').upper()}", value)


def statement(workplace: Workplace) -> str:
    return "\n".join(workplace.lines("cps"))


def test_every_setting_is_stated_or_left_out_for_a_reason() -> None:
    settings = {
        f"{section}.{key}"
        for section, field in Settings.model_fields.items()
        for key in field.get_default().__class__.model_fields
    }

    assert settings == STATED.keys() | NOT_STATED
    assert not STATED.keys() & NOT_STATED


@pytest.mark.parametrize("setting", [setting for setting, value in STATED.items() if value is not None])
def test_a_setting_that_changes_changes_the_statement(
    template: Workplace, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    for other, value in BESIDES.get(setting, {}).items():
        set_to(monkeypatch, other, value)
    before = statement(template)

    set_to(monkeypatch, setting, STATED[setting] or "")

    assert statement(template) != before


def test_a_passphrase_is_stated(template: Workplace, protected: Workplace) -> None:
    assert "which a passphrase protects" in statement(protected)
    assert "which its permissions alone protect" in statement(template)


def test_the_validity_is_stated_in_its_section(template: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(monkeypatch, "ca.validity_days", "365")

    assert "Recipients' certificates are valid for 365 days" in statement(template)


def test_what_an_organization_changes_changes_the_statement(workplace: Workplace) -> None:
    before = statement(workplace)
    workplace.document("org", "set", "hospital", "--relay-days", "12", "--contact", "+49 30 7")
    after = statement(workplace)

    assert "| 12 days |" in after.replace(before, "")
    assert "+49 30 7" in after


def test_the_operators_words_are_in_it(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace.folder / "words.toml").write_text('"9.14" = "The law of Berlin."\n', encoding="utf-8")
    set_to(monkeypatch, "cps.statements", "words.toml")

    assert "### 9.14 Governing law\n\nThe law of Berlin.\n" in statement(workplace)


def test_a_section_that_is_not_the_operators_is_refused(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace.folder / "words.toml").write_text('"4.9.7" = "Never."\n', encoding="utf-8")
    set_to(monkeypatch, "cps.statements", "words.toml")

    assert "section 4.9.7 is not for the operator to state" in workplace.refusal("cps", code=78)


def test_a_program_gets_the_facts_and_what_is_missing(template: Workplace) -> None:
    document = template.document("cps")

    assert document["crl"]["interval_hours"] == 24
    assert document["recipients"]["validity_days"] == 730
    assert {one["purpose"] for one in document["issuers"]} == {"root-ca", "issuing-ca"}
    assert "1.5.2" in document["to_be_stated"]
