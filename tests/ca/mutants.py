"""Good certificates, each spoiled in one way: families of defects, generated, every mutant named for its own.

`tests.ca.defects` says of some typical ones which rule finds them. Here it is only asked that some rule does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from random import Random
from typing import Any

from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.profiles import DOMAIN_AUTHORITY
from ca.signing import PreparedCertificate
from tests.builders import JOERG
from tests.ca import defects
from tests.ca.defects import (
    ALICE,
    CN,
    EMAIL,
    Spoil,
    lasting,
    with_crl_at,
    with_eku,
    with_issuer_at,
    with_names,
    with_policies,
    with_raw,
    with_serial,
    with_subject,
    with_usage,
    with_value,
)
from tests.ca.weakkeys import WEAK

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_SAMPLE = Random(5280)  # noqa: S311 - the same mutants in every run


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A defect, and how to put it into a good certificate."""

    name: str
    spoil: Spoil


def mutants(good: PreparedCertificate) -> Iterator[Mutant]:
    """Yield the mutants of a recipient's RSA certificate for encryption, whose address is `ALICE`."""
    for defect in defects.DEFECTS:
        yield Mutant(name=f"typical: {defect.name}", spoil=defect.spoil)
    for family, spoils in (
        ("extension", _extensions(good)),
        ("usage", _usages(good)),
        ("purpose", _purposes()),
        ("period", _periods()),
        ("number", _numbers()),
        ("alternative name", _alternative_names()),
        ("subject", _subjects()),
        ("policy", _policies()),
        ("status", _places()),
        ("issuer", _issuers(good)),
        ("key", _keys()),
    ):
        for name, spoil in spoils:
            yield Mutant(name=f"{family}: {name}", spoil=spoil)


_Named = Iterator[tuple[str, Spoil]]


def international_mutants() -> Iterator[Mutant]:
    """Yield the mutants of a certificate whose address is `JOERG`, of all that is peculiar to it."""
    for family, spoils in (
        ("alternative name", _international_names()),
        ("subject", _international_subjects()),
    ):
        for name, spoil in spoils:
            yield Mutant(name=f"international {family}: {name}", spoil=spoil)


def _extensions(good: PreparedCertificate) -> _Named:
    for known in good.extensions:
        name = known.oid._name
        yield f"{name} twice", _changed((*good.extensions, known))
        yield f"{name} empty", with_raw(known.oid.dotted_string, b"", critical=known.critical)
        yield f"{name} no ASN.1", with_raw(known.oid.dotted_string, b"\x30\x80", critical=known.critical)
        yield f"{name} of the other criticality", _flipped(good, known)
    for number, (dotted, der) in enumerate(
        (
            ("1.3.6.1.4.1.32473.7", b"\x05\x00"),  # nobody's
            ("2.16.840.1.113730.1.1", b"\x03\x02\x05\x20"),  # netscape-cert-type
            ("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00"),  # the poison of certificate transparency
            ("1.3.6.1.5.5.7.48.1.5", b"\x05\x00"),  # a responder's
            ("2.5.29.54", b"\x02\x01\x00"),  # inhibitAnyPolicy
            ("2.5.29.30", b"\x30\x0e\xa0\x0c\x30\x0a\x81\x08evil.org"),  # nameConstraints
            ("1.3.6.1.5.5.7.1.24", b"\x30\x03\x02\x01\x05"),  # TLS feature
            ("1.3.6.1.5.5.7.1.3", b"\x30\x08\x30\x06\x06\x04\x00\x8e\x46\x01"),  # qualified
        )
    ):
        for critical in (False, True):
            yield f"foreign {number} {critical=}", with_raw(dotted, der, critical=critical)
    yield "capabilities with 3DES alone", with_raw("1.2.840.113549.1.9.15", _THREE_DES)


_THREE_DES = bytes.fromhex("300c300a06082a864886f70d0307")


def _changed(extensions: tuple[x509.Extension[x509.ExtensionType], ...]) -> Spoil:
    return lambda prepared: replace(prepared, extensions=extensions)


def _flipped(good: PreparedCertificate, which: x509.Extension[x509.ExtensionType]) -> Spoil:
    return _changed(
        tuple(
            x509.Extension(known.oid, not known.critical, known.value) if known is which else known
            for known in good.extensions
        )
    )


def _usages(good: PreparedCertificate) -> _Named:
    usage = next(known.value for known in good.extensions if isinstance(known.value, x509.KeyUsage))
    right = {name for name in _USAGES if getattr(usage, name)}
    subsets = [
        subset
        for size in range(len(_USAGES) + 1)
        for subset in combinations(_USAGES, size)
        if set(subset) != right
    ]
    for subset in _SAMPLE.sample(subsets, 40):
        yield " + ".join(subset) or "none", with_usage(*subset)


def _purposes() -> _Named:
    others = (
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.CODE_SIGNING,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SMARTCARD_LOGON,
        ExtendedKeyUsageOID.IPSEC_IKE,
        x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"),
    )
    for other in others:
        yield f"{other.dotted_string} instead", with_eku(other)
        yield f"{other.dotted_string} as well", with_eku(ExtendedKeyUsageOID.EMAIL_PROTECTION, other)


def _periods() -> _Named:
    for days in (826, 827, 900, 1185, 3650, 5000, 36_500):
        yield f"{days} days", lasting(days)
    yield "none", lambda one: replace(one, not_after=one.not_before - timedelta(seconds=1))
    for days in (2, 30, 3650):
        yield f"begins {days} days before its issuer", _begun_earlier(timedelta(days=days))


def _begun_earlier(by: timedelta) -> Spoil:
    return lambda one: replace(one, not_before=one.not_before - by, not_after=one.not_before + by)


def _numbers() -> _Named:
    for number in (0, -1, -(1 << 64), 1, 2, 65_537, (1 << 63) - 1, 1 << 159, 1 << 160, 1 << 200):
        yield f"{number:x}", with_serial(number)


def _alternative_names() -> _Named:
    mine = x509.RFC822Name(ALICE)
    for text in (
        "alice@example.org",
        "ALICE@example.com",
        "alice@sub.example.com",
        "alice.@example.com",
        "al ice@example.com",
        "alice@example.com.",
        "alice@localhost",
        "alice@-example.com",
        f"{DOMAIN_AUTHORITY}@example.com",
    ):
        yield f"{text} instead", with_names(x509.RFC822Name(text))
        yield f"{text} as well", with_names(mine, x509.RFC822Name(text))
    yield "the same twice", with_names(mine, mine)
    yield "nobody", with_names()
    directory_name = x509.Name([x509.NameAttribute(CN, "Alice")])
    for other in (
        x509.DNSName("example.com"),
        x509.DNSName("*.example.com"),
        x509.UniformResourceIdentifier("http://example.com"),
        x509.DirectoryName(directory_name),
        x509.RegisteredID(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x11\xc3\xa4lice@example.com"),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x11alice@example.com"),
    ):
        kind = type(other).__name__
        yield f"{kind} {other.value!r} instead", with_names(other)
        yield f"{kind} {other.value!r} as well", with_names(mine, other)
    for octets in (
        "alicé@example.com",
        "\u0430lice@example.com",
        "alice@exämple.com",
        "alice\0@example.com",
        "@example.com",
        "alice@",
    ):
        encoded = octets.encode()
        name = b"\x81" + bytes([len(encoded)]) + encoded
        yield f"{octets!r} in a raw name", with_raw("2.5.29.17", b"\x30" + bytes([len(name)]) + name)


def _international_names() -> _Named:
    mine = _smtp_utf8(str(JOERG))
    address = str(JOERG).encode()
    for inner, tag in (
        ("IA5String", 0x16),
        ("PrintableString", 0x13),
        ("T61String", 0x14),
        ("OCTET STRING", 0x04),
        ("constructed UTF8String", 0x2C),
        ("context tag", 0x80),
    ):
        yield f"of an {inner}", with_names(_other_name(_der(tag, address)))
    yield "of a BMPString", with_names(_other_name(_der(0x1E, str(JOERG).encode("utf-16-be"))))
    yield "of Latin-1", with_names(_other_name(_der(0x0C, str(JOERG).encode("latin-1"))))
    yield "of a length in two octets", with_names(_other_name(b"\x0c\x81" + _der(0x0C, address)[1:]))
    yield "with an octet behind it", with_names(_other_name(_der(0x0C, address) + b"\x00"))
    for text in (
        f"\ufeff{JOERG}",
        "jörg@EXAMPLE.com",
        "jörg@exämple.com",
        "jörg@example.com.",
        "jörg@example.com ",
        "jörg@localhost",
        "jörg@[192.0.2.1]",
        "jörg\0@example.com",
        "jörg",
        "jörg@mail@example.com",
        "jo\u0308rg@example.com",
        "JÖRG@example.com",
        "jörg@example.org",
        "joerg@example.com",
        "xn--jrg-sna@example.com",
        "",
    ):
        yield f"{text!r} instead", with_names(_smtp_utf8(text))
        yield f"{text!r} as well", with_names(mine, _smtp_utf8(text))
    yield "the same twice", with_names(mine, mine)
    for other in (x509.RFC822Name("joerg@example.com"), x509.RFC822Name("xn--jrg-sna@example.com")):
        yield f"{other.value} instead", with_names(other)
        yield f"{other.value} before it", with_names(other, mine)
        yield f"{other.value} behind it", with_names(mine, other)
    in_rfc822_name = _der(0x81, address)
    yield "as octets of an rfc822Name", with_raw("2.5.29.17", _der(0x30, in_rfc822_name))
    for dotted in ("1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.5.7.8.7", "1.3.6.1.5.5.7.8.5"):
        other_kind = x509.OtherName(x509.ObjectIdentifier(dotted), _der(0x0C, address))
        yield f"of the kind {dotted}", with_names(other_kind)
    yield "critical", _with_critical_names


def _international_subjects() -> _Named:
    address = str(JOERG)
    yield "nobody, and the alternative name is not critical", with_subject()
    yield "with a serial number", with_subject((CN, address), (NameOID.SERIAL_NUMBER, "1"))
    yield "two names", with_subject((CN, address), (CN, address))
    for text in ("Jörg", "JÖRG@example.com", "joerg@example.com", ALICE, "jo\u0308rg@example.com"):
        yield f"named {text!r}", with_subject((CN, text))
    for text in ("joerg@example.com", ALICE):
        yield f"with {text!r} as address", with_subject((EMAIL, text), (CN, address))
    utf8 = x509.NameAttribute(EMAIL, address, _ASN1Type.UTF8String, _validate=False)
    name = x509.Name([utf8, x509.NameAttribute(CN, address)])
    yield "with an address that is no IA5String", lambda one: replace(one, subject_name=name)


def _with_critical_names(prepared: PreparedCertificate) -> PreparedCertificate:
    names = next(one for one in prepared.extensions if isinstance(one.value, x509.SubjectAlternativeName))
    return _flipped(prepared, names)(prepared)


def _smtp_utf8(text: str) -> x509.OtherName:
    return _other_name(_der(0x0C, text.encode()))


def _other_name(der: bytes) -> x509.OtherName:
    return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), der)


def _der(tag: int, content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([tag, len(content)]) + content


def _subjects() -> _Named:
    yield "no address", with_subject((CN, ALICE))
    yield "two names", with_subject((EMAIL, ALICE), (CN, ALICE), (CN, ALICE))
    yield "two addresses", with_subject((EMAIL, ALICE), (EMAIL, "mallory@example.com"), (CN, ALICE))
    yield (
        "a domain's authority",
        with_subject((EMAIL, f"{DOMAIN_AUTHORITY}@example.com"), (CN, f"{DOMAIN_AUTHORITY}@example.com")),
    )
    for oid, text in (
        (NameOID.ORGANIZATION_NAME, "Example"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Example"),
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.GIVEN_NAME, "Alice"),
        (NameOID.SURNAME, "Example"),
        (NameOID.SERIAL_NUMBER, "1"),
        (NameOID.TITLE, "Dr"),
        (NameOID.PSEUDONYM, "al"),
        (NameOID.LOCALITY_NAME, "Berlin"),
    ):
        yield f"with {oid.dotted_string}", with_subject((EMAIL, ALICE), (CN, ALICE), (oid, text))
    for text in ("Alice", "alice@example.org", "ALICE@example.com", "alice@example.com "):
        yield f"named {text!r}", with_subject((EMAIL, ALICE), (CN, text))
        yield f"addressed {text!r}", with_subject((EMAIL, text), (CN, ALICE))


def _policies() -> _Named:
    for level in range(1, 5):
        for generation in range(1, 4):
            dotted = f"2.23.140.1.5.{level}.{generation}"
            yield dotted, with_policies(dotted)
    for dotted in ("2.23.140.1.2.1", "2.23.140.1.2.2", "2.23.140.1.4.1", "2.23.140.1.1", "2.5.29.32.0"):
        yield dotted, with_policies(dotted)
    yield "two of our own", with_policies("1.3.6.1.4.1.32473.1.1", "1.3.6.1.4.1.32473.1.2")
    yield "the same twice", with_policies("1.3.6.1.4.1.32473.1.1", "1.3.6.1.4.1.32473.1.1")


def _places() -> _Named:
    for url in (
        "https://pki.example.com/a",
        "ldap://pki.example.com/a",
        "ldaps://pki.example.com/a",
        "ftp://pki.example.com/a",
        "file:///etc/passwd",
        "http://localhost/a",
        "http://pki/a",
        "http://10.0.0.1/a",
        "http://pki.example.invalid/a",
        "pki.example.com/a",
        "",
    ):
        yield f"CRL at {url!r}", with_crl_at(url)
        yield f"issuer at {url!r}", with_issuer_at(url)
    good = [x509.UniformResourceIdentifier("http://pki.example.com/a")]
    somebody = [x509.DirectoryName(x509.Name([x509.NameAttribute(CN, "Somebody")]))]
    some_reasons = frozenset({x509.ReasonFlags.key_compromise})
    for name, point in (
        ("for some reasons", x509.DistributionPoint(good, None, some_reasons, None)),
        ("of somebody else", x509.DistributionPoint(good, None, None, somebody)),
        ("somewhere", x509.DistributionPoint(None, None, None, somebody)),
        ("in a directory", x509.DistributionPoint(somebody, None, None, None)),
    ):
        yield f"CRL {name}", with_value(x509.CRLDistributionPoints([point]))


def _issuers(good: PreparedCertificate) -> _Named:
    for name in (good.subject_name, x509.Name([]), x509.Name(list(reversed(list(good.issuer_name))))):
        yield f"named {name.rfc4514_string()!r}", _issued_by(name)
    identifier = next(
        known.value.key_identifier
        for known in good.extensions
        if isinstance(known.value, x509.AuthorityKeyIdentifier)
    )
    assert identifier is not None
    where = [x509.DirectoryName(good.issuer_name)]
    for name_, value in (
        ("cut", x509.AuthorityKeyIdentifier(identifier[:-1], None, None)),
        ("empty", x509.AuthorityKeyIdentifier(b"", None, None)),
        (
            "with one bit changed",
            x509.AuthorityKeyIdentifier(bytes([identifier[0] ^ 1]) + identifier[1:], None, None),
        ),
        ("with name and number as well", x509.AuthorityKeyIdentifier(identifier, where, 1)),
        ("with nothing but name and number", x509.AuthorityKeyIdentifier(None, where, 1)),
    ):
        yield f"key identifier {name_}", with_value(value)
    for name_, digest in (("another's", identifier), ("empty", b""), ("long", b"\x01" * 64)):
        yield f"subject key identifier {name_}", with_value(x509.SubjectKeyIdentifier(digest))


def _issued_by(name: x509.Name) -> Spoil:
    return lambda prepared: replace(prepared, issuer_name=name)


def _keys() -> _Named:
    for name, (make, _) in WEAK.items():
        yield name, _of_key(make())


def _of_key(key: Any) -> Spoil:
    # With all that depends on the key as it should be, so that nothing but the key is wrong.
    def spoil(prepared: PreparedCertificate) -> PreparedCertificate:
        spoiled = with_value(x509.SubjectKeyIdentifier.from_public_key(key))(prepared)
        return replace(spoiled, public_key=key)

    return spoil
