"""What the practice comes to: plain values, and each of what an organization has chosen is among them."""

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from ca.address import Mailbox
from ca.constraints import permitted_domains
from ca.keypackage import KeyPackageFormat
from ca.keys import KeyAlgorithm, generate
from ca.passwords import PasswordStyle
from ca.profiles import Purpose
from ca.signing import SignatureScheme
from directory.cps.facts import facts_of
from directory.cps.practice import Crossing, Practice
from directory.organization import Correspondence, HoldPolicy, KeyDelivery, Organization, Renewal
from tests.builders import NOW, a_profile
from tests.ca.strangers import Stranger
from tests.directory.cps.builders import a_busy_organization, a_practice

DESK = Mailbox.parse("other@hospital.org")

STATED_OF_ORGANIZATION: dict[str, Any] = {
    "slug": "clinic",
    "name": "Clinic",
    "domains": frozenset({"clinic.org"}),
    "mail_from": DESK,
    "smart_host": None,
    "isolated": True,
    "package_format": KeyPackageFormat.MODERN,
    "password_style": PasswordStyle.WORDS,
    "contact": "+49 89 1",
    "hold_policy": HoldPolicy(),
    "renewal": Renewal.NONE,
}
STATED_OF_CORRESPONDENCE: dict[str, Any] = {
    "language": "de",
    "key_delivery": KeyDelivery.BOTH,
    "package_chain": False,
    "package_formats": {},
    "dkim": None,
    "webhook": None,
    "password_mail": None,
    "notices_to": None,
    "relay_lifetime": timedelta(days=3),
}
NOT_STATED = {
    "organization_id",  # nobody knows it
    "correspondence",  # stated field by field
    "sender_name",  # how a mail looks
    "bounce_address",  # how a mail comes back
}


def of_organization(organization: Organization) -> object:
    return facts_of(replace(a_practice(), organizations=[organization]), NOW)["organizations"]


def test_they_are_what_json_can_hold() -> None:
    facts = facts_of(a_practice(), NOW)

    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize("field", STATED_OF_ORGANIZATION)
def test_what_an_organization_is_and_does_is_told(field: str) -> None:
    one = a_busy_organization()

    assert of_organization(replace(one, **{field: STATED_OF_ORGANIZATION[field]})) != of_organization(one)


@pytest.mark.parametrize("field", STATED_OF_CORRESPONDENCE)
def test_how_an_organization_writes_is_told(field: str) -> None:
    one = a_busy_organization()
    letters = replace(one.correspondence, **{field: STATED_OF_CORRESPONDENCE[field]})

    assert of_organization(replace(one, correspondence=letters)) != of_organization(one)


def test_nothing_about_organizations_is_left_out_by_oversight() -> None:
    of_both = {field.name for kind in (Organization, Correspondence) for field in fields(kind)}

    assert of_both == STATED_OF_ORGANIZATION.keys() | STATED_OF_CORRESPONDENCE.keys() | NOT_STATED


def of_issuing(**deviation: Any) -> Practice:
    practice = a_practice()
    return replace(practice, issuing=replace(practice.issuing, **deviation))


def test_a_key_that_signs_is_told() -> None:
    recipients: Any = facts_of(of_issuing(profile=a_profile(Purpose.RECIPIENT_DUAL)), NOW)["recipients"]

    assert recipients["signs"]
    assert recipients["key_usage"] == ["digitalSignature", "keyEncipherment"]


def test_extensions_are_called_by_their_names() -> None:
    recipients: Any = facts_of(a_practice(), NOW)["recipients"]

    assert [one["name"] for one in recipients["extensions"]] == [
        *("basicConstraints", "keyUsage", "extendedKeyUsage", "certificatePolicies", "smimeCapabilities")
    ]


def test_pss_is_told() -> None:
    assert facts_of(of_issuing(scheme=SignatureScheme.PSS), NOW)["signatures"] == {
        "scheme": "RSASSA-PSS",
        "hash": "SHA256",
    }


def a_constrained_certificate() -> x509.Certificate:
    key = generate(KeyAlgorithm.P_256)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Issuing CA 2026")])
    constraints = x509.NameConstraints([x509.RFC822Name("hospital.org")], [x509.RFC822Name("evil.example")])
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )


def test_name_constraints_of_an_issuer_are_told() -> None:
    practice = a_practice()
    constrained = replace(practice.authorities[0], certificate=a_constrained_certificate())

    told: Any = facts_of(replace(practice, authorities=[constrained]), NOW)["issuers"]

    assert told[0]["name_constraints"] == "permitted hospital.org, excluded evil.example"


@pytest.mark.parametrize(
    ("sealed", "in_token", "stated"),
    [
        (True, False, "in the database, sealed"),
        (False, True, "in a PKCS#11 token, which it never leaves"),
        (False, False, "elsewhere"),
    ],
)
def test_where_a_cas_key_is_kept_is_stated(
    sealed: bool,  # noqa: FBT001 - a column
    in_token: bool,  # noqa: FBT001 - a column
    stated: str,
) -> None:
    practice = a_practice()
    authority = replace(practice.authorities[0], has_sealed_key=sealed, has_token_key=in_token)

    facts = facts_of(replace(practice, authorities=[authority]), NOW)

    assert f'"key_place": "{stated}"' in json.dumps(facts)


def test_cross_certificates_are_told_until_they_expire() -> None:
    friend = Stranger("Friendly Root")
    theirs = friend.certify(friend.name, friend.key.public_key(), more=permitted_domains(["other.example"]))
    expired = friend.certify(friend.name, friend.key.public_key(), not_after=NOW)
    crossing = Crossing(
        by_others=[friend.certificate, expired], of_others=[(theirs, NOW), (theirs, None), (expired, None)]
    )

    told = facts_of(replace(a_practice(), crossing=crossing), NOW)["cross_certificates"]

    assert isinstance(told, dict)
    assert [one["by"] for one in told["by_others"]] == ["CN=Friendly Root"]
    assert [one["revoked"] for one in told["of_others"]] == [NOW.date().isoformat(), None]
    assert {one["name_constraints"] for one in told["of_others"]} == {"permitted other.example"}
