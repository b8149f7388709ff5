"""Ways in which a prepared certificate can be wrong: each takes a good one and spoils one thing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
)

from ca.signing import PreparedCertificate

Spoil = Callable[[PreparedCertificate], PreparedCertificate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What is spoiled, how, and the finding that must block it."""

    name: str
    spoil: Spoil
    code: str


def without(kind: type[x509.ExtensionType]) -> Spoil:
    def spoil(prepared: PreparedCertificate) -> PreparedCertificate:
        kept = tuple(known for known in prepared.extensions if not isinstance(known.value, kind))
        assert len(kept) == len(prepared.extensions) - 1
        return replace(prepared, extensions=kept)

    return spoil


def with_value(value: x509.ExtensionType) -> Spoil:
    """Exchange the extension of the same kind, or add it; the criticality stays."""

    def spoil(prepared: PreparedCertificate) -> PreparedCertificate:
        others = tuple(known for known in prepared.extensions if known.oid != value.oid)
        critical = any(known.critical for known in prepared.extensions if known.oid == value.oid)
        return replace(prepared, extensions=(*others, x509.Extension(value.oid, critical, value)))

    return spoil


def with_flipped_criticality(kind: type[x509.ExtensionType]) -> Spoil:
    def spoil(prepared: PreparedCertificate) -> PreparedCertificate:
        flipped = tuple(
            x509.Extension(known.oid, not known.critical, known.value)
            if isinstance(known.value, kind)
            else known
            for known in prepared.extensions
        )
        assert flipped != prepared.extensions
        return replace(prepared, extensions=flipped)

    return spoil


def with_subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> Spoil:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    return lambda prepared: replace(prepared, subject_name=name)


def with_serial(number: int) -> Spoil:
    return lambda prepared: replace(prepared, serial_number=number)


def lasting(days: int) -> Spoil:
    return lambda prepared: replace(
        prepared, not_after=prepared.not_before + timedelta(days=days) - timedelta(seconds=1)
    )


def with_usage(*bits: str) -> Spoil:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    assert set(bits) <= set(names)
    return with_value(x509.KeyUsage(**{name: name in bits for name in names}))


def with_names(*names: x509.GeneralName) -> Spoil:
    return with_value(x509.SubjectAlternativeName(names))


def with_crl_at(url: str) -> Spoil:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return with_value(x509.CRLDistributionPoints([point]))


def with_issuer_at(url: str) -> Spoil:
    description = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
    )
    return with_value(x509.AuthorityInformationAccess([description]))


def with_policies(*dotted: str) -> Spoil:
    return with_value(
        x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in dotted])
    )


def with_eku(*oids: x509.ObjectIdentifier) -> Spoil:
    return with_value(x509.ExtendedKeyUsage(oids))


def with_raw(dotted: str, der: bytes, *, critical: bool = False) -> Spoil:
    oid = x509.ObjectIdentifier(dotted)

    def spoil(prepared: PreparedCertificate) -> PreparedCertificate:
        others = tuple(known for known in prepared.extensions if known.oid != oid)
        raw = x509.Extension(oid, critical, x509.UnrecognizedExtension(oid, der))
        return replace(prepared, extensions=(*others, raw))

    return spoil


def _twice(prepared: PreparedCertificate) -> PreparedCertificate:
    return replace(prepared, extensions=(*prepared.extensions, prepared.extensions[0]))


def _ends_before_it_begins(prepared: PreparedCertificate) -> PreparedCertificate:
    return replace(prepared, not_after=prepared.not_before - timedelta(days=1))


def _begins_years_ago(prepared: PreparedCertificate) -> PreparedCertificate:
    earlier = timedelta(days=400)
    return replace(prepared, not_before=prepared.not_before - earlier, not_after=prepared.not_after - earlier)


def _of_another_issuer(prepared: PreparedCertificate) -> PreparedCertificate:
    return replace(
        prepared, issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody Else")])
    )


def _with_a_short_key(prepared: PreparedCertificate) -> PreparedCertificate:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - its weakness is the point
    return replace(prepared, public_key=weak.public_key())


def _with_a_key_of_small_factors(prepared: PreparedCertificate) -> PreparedCertificate:
    modulus = (1 << 2047) + 5
    while modulus % 3:
        modulus += 2
    return replace(prepared, public_key=rsa.RSAPublicNumbers(65537, modulus).public_key())


def _with_exponent_3(prepared: PreparedCertificate) -> PreparedCertificate:
    return replace(prepared, public_key=rsa.generate_private_key(3, 2048).public_key())


def _with_an_elliptic_key(prepared: PreparedCertificate) -> PreparedCertificate:
    return replace(prepared, public_key=ec.generate_private_key(ec.SECP256R1()).public_key())


def _with_a_key_identifier_of_another_key(prepared: PreparedCertificate) -> PreparedCertificate:
    return with_value(x509.SubjectKeyIdentifier(b"\x01" * 20))(prepared)


ALICE = "alice@example.com"
CN, EMAIL = NameOID.COMMON_NAME, NameOID.EMAIL_ADDRESS

DEFECTS = tuple(
    Defect(name=name, spoil=spoil, code=code)
    for name, spoil, code in (
        # What must be there.
        ("no SAN", without(x509.SubjectAlternativeName), "cabf.smime.san_extension_missing"),
        ("no key usage", without(x509.KeyUsage), "cabf.smime.key_usage_extension_missing"),
        (
            "no extended key usage",
            without(x509.ExtendedKeyUsage),
            "cabf.smime.extended_key_usage_extension_missing",
        ),
        ("no CRL", without(x509.CRLDistributionPoints), "cabf.smime.crldp_extension_missing"),
        ("no AIA", without(x509.AuthorityInformationAccess), "cabf.aia_extension_missing"),
        (
            "no policy",
            without(x509.CertificatePolicies),
            "cabf.smime.certificate_policies_extension_missing",
        ),
        (
            "no subject key identifier",
            without(x509.SubjectKeyIdentifier),
            "pkix.certificate_skid_end_entity_missing",
        ),
        (
            "no authority key identifier",
            without(x509.AuthorityKeyIdentifier),
            "pkix.authority_key_identifier_extension_absent",
        ),
        (
            "no basic constraints",
            without(x509.BasicConstraints),
            "pushpki.basic_constraints_not_of_the_purpose",
        ),
        # What the key may do.
        (
            "key usage not critical",
            with_flipped_criticality(x509.KeyUsage),
            "pkix.key_usage_extension_not_critical",
        ),
        (
            "may sign although for encryption",
            with_usage("digital_signature", "key_encipherment"),
            "pushpki.key_usage_not_of_the_purpose",
        ),
        ("may sign only", with_usage("digital_signature"), "pushpki.key_usage_not_of_the_purpose"),
        (
            "data encipherment",
            with_usage("key_encipherment", "data_encipherment"),
            "cabf.smime.prohibited_ku_present",
        ),
        (
            "may sign certificates",
            with_usage("key_cert_sign"),
            "pkix.ee_certificate_keycertsign_keyusage_set",
        ),
        ("RSA key agreement", with_usage("key_agreement"), "pkix.key_usage_value_prohibited_for_rsa"),
        ("a CA", with_value(x509.BasicConstraints(ca=True, path_length=0)), "cabf.smime.is_ca_certificate"),
        (
            "TLS client as well",
            with_eku(ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH),
            "cabf.smime.prohibited_eku_present",
        ),
        (
            "TLS server instead",
            with_eku(ExtendedKeyUsageOID.SERVER_AUTH),
            "cabf.smime.prohibited_eku_present",
        ),
        (
            "any usage",
            with_eku(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
            "cabf.smime.prohibited_eku_present",
        ),
        # How long, and which number.
        ("826 days", lasting(826), "cabf.smime.certificate_validity_period_exceeds_825_days"),
        ("825 days exactly", lasting(825), "cabf.smime.certificate_validity_period_at_maximum"),
        ("1095 days", lasting(1095), "pushpki.validity_too_long"),
        ("ends before it begins", _ends_before_it_begins, "pushpki.not_encodable"),
        ("begins before its issuer", _begins_years_ago, "pushpki.begins_before_the_issuer"),
        ("serial 0", with_serial(0), "pushpki.not_encodable"),
        ("serial negative", with_serial(-1), "pushpki.not_encodable"),
        ("serial of 160 bits", with_serial(1 << 159), "pushpki.not_encodable"),
        # Whose it is.
        (
            "SAN of another address",
            with_names(x509.RFC822Name("mallory@example.com")),
            "pushpki.subject_not_the_mailbox",
        ),
        (
            "SAN of another spelling",
            with_names(x509.RFC822Name("Alice@example.com")),
            "pushpki.subject_not_the_mailbox",
        ),
        (
            "SAN of a second address",
            with_names(x509.RFC822Name(ALICE), x509.RFC822Name("mallory@example.com")),
            "pushpki.subject_not_the_mailbox",
        ),
        (
            "SAN of a host",
            with_names(x509.RFC822Name(ALICE), x509.DNSName("example.com")),
            "cabf.smime.prohibited_generalname_type_present",
        ),
        (
            "SAN that is no address",
            with_names(x509.RFC822Name("alice")),
            "pkix.invalid_email_address_syntax",
        ),
        (
            "SAN that is not ASCII",
            with_raw("2.5.29.17", b"\x30\x13\x81\x11alic\xe9@example.com"),
            "itu.invalid_asn1_syntax",
        ),
        (
            "CN a person's name",
            with_subject((EMAIL, ALICE), (CN, "Alice Example")),
            "cabf.smime.common_name_value_unknown_source",
        ),
        (
            "CN of another address",
            with_subject((EMAIL, ALICE), (CN, "mallory@example.com")),
            "pushpki.subject_not_the_mailbox",
        ),
        (
            "subject with an organization",
            with_subject((EMAIL, ALICE), (CN, ALICE), (NameOID.ORGANIZATION_NAME, "Example")),
            "pushpki.subject_not_the_mailbox",
        ),
        ("empty subject", with_subject(), "pkix.san_extension_not_critical_empty_subject"),
        # Where its status is.
        (
            "CRL over https",
            with_crl_at("https://pki.example.com/ca.crl"),
            "cabf.smime.crldp_fullname_prohibited_uri_scheme",
        ),
        (
            "CRL over ldap",
            with_crl_at("ldap://pki.example.com/ca"),
            "cabf.smime.crldp_fullname_prohibited_uri_scheme",
        ),
        ("CRL on this machine", with_crl_at("http://127.0.0.1:8080/ca.crl"), "cabf.internal_domain_name"),
        (
            "CRL on an intranet",
            with_crl_at("http://pki.hospital.internal/ca.crl"),
            "cabf.internal_domain_name",
        ),
        (
            "issuer over https",
            with_issuer_at("https://pki.example.com/ca.cer"),
            "cabf.aia_ca_issuers_has_no_http_uri",
        ),
        # What it promises.
        (
            "the CA/B mailbox policy",
            with_policies("2.23.140.1.5.1.3"),
            "pushpki.policy_not_one_private",
        ),
        (
            "a CA/B policy beside ours",
            with_policies("1.3.6.1.4.1.32473.1.1", "2.23.140.1.5.2.3"),
            "pushpki.policy_not_one_private",
        ),
        ("any policy", with_policies("2.5.29.32.0"), "cabf.smime.anypolicy_present"),
        # Whose signature it is.
        ("another issuer's name", _of_another_issuer, "pushpki.issuer_name_not_the_issuers"),
        (
            "another issuer's key identifier",
            with_value(x509.AuthorityKeyIdentifier(b"\x02" * 20, None, None)),
            "pushpki.authority_key_identifier_not_the_issuers",
        ),
        # Which key.
        ("a key of 1024 bits", _with_a_short_key, "pushpki.key_not_accepted"),
        ("a key with small factors", _with_a_key_of_small_factors, "cabf.rsa_modulus_has_small_prime_factor"),
        ("public exponent 3", _with_exponent_3, "pushpki.key_not_accepted"),
        (
            "RSA key usage for an elliptic key",
            _with_an_elliptic_key,
            "pkix.key_usage_value_prohibited_for_ec",
        ),
        # How it is written.
        ("an extension twice", _twice, "pushpki.not_encodable"),
        ("SAN that is no ASN.1", with_raw("2.5.29.17", b"alice@example.com"), "itu.invalid_asn1_syntax"),
        (
            "capabilities that are no ASN.1",
            with_raw("1.2.840.113549.1.9.15", b"?"),
            "itu.invalid_asn1_syntax",
        ),
    )
)
