from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import KeyRefused
from ca.keypackage import (
    KeyPackageFormat,
    PackageContents,
    build_key_package,
    build_keyless_package,
    friendly_name_for,
)
from ca.keys import KeyAlgorithm, PrivateKey, generate, same_key, to_pkcs8
from ca.linting import Linter
from ca.passwords import Password, PasswordRule, PasswordStyle
from ca.passwords import generate as generate_password
from tests.builders import ALICE, NOW, Authority, a_certificate, a_profile, an_authority

PASSWORD = Password("7QK4M-ZT0XN-2GHWD-9PVRC-5SJYA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    private_key: PrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    password: Password = PASSWORD
    package_format: KeyPackageFormat = KeyPackageFormat.COMPATIBLE
    contents: PackageContents = PackageContents.WITH_CHAIN

    def build(self) -> bytes:
        return build_key_package(
            private_key=self.private_key,
            certificate=self.certificate,
            chain=self.chain,
            password=self.password,
            package_format=self.package_format,
            friendly_name=friendly_name_for(ALICE, self.certificate),
            contents=self.contents,
        )


@pytest.fixture(scope="module")
def good(authority: Authority, recipient_key: PrivateKey) -> Ingredients:
    return Ingredients(
        private_key=recipient_key,
        certificate=a_certificate(authority, recipient_key.public_key()),
        chain=authority.chain,
    )


@pytest.mark.parametrize("package_format", KeyPackageFormat)
def test_holds_one_identity_and_its_chain(good: Ingredients, package_format: KeyPackageFormat) -> None:
    package = replace(good, package_format=package_format).build()
    opened = pkcs12.load_pkcs12(package, PASSWORD.reveal().encode())
    assert opened.key is not None
    assert opened.cert is not None
    assert to_pkcs8_of(opened.key) == to_pkcs8(good.private_key)
    assert opened.cert.certificate == good.certificate
    assert opened.cert.friendly_name == b"alice@example.com S/MIME 2026-11"
    assert {other.certificate for other in opened.additional_certs} == set(good.chain)
    assert len(opened.additional_certs) == 2


@pytest.mark.parametrize(
    ("local_part", "listed"),
    [("jörg", "jörg"), ("用户", "用户"), ("\U000104f7\U000104d8", "\ufffd\ufffd")],
)
@pytest.mark.parametrize("package_format", KeyPackageFormat)
def test_is_listed_under_an_address_beyond_ascii(
    good: Ingredients, package_format: KeyPackageFormat, local_part: str, listed: str
) -> None:
    mailbox = Mailbox.parse_international(f"{local_part}@example.com")
    package = build_key_package(
        private_key=good.private_key,
        certificate=good.certificate,
        chain=good.chain,
        password=PASSWORD,
        package_format=package_format,
        friendly_name=friendly_name_for(mailbox, good.certificate),
    )
    opened = pkcs12.load_pkcs12(package, PASSWORD.reveal().encode())
    assert opened.cert is not None
    assert opened.cert.friendly_name == f"{listed}@example.com S/MIME 2026-11".encode()


@pytest.mark.parametrize("package_format", KeyPackageFormat)
def test_opens_with_no_other_password(good: Ingredients, package_format: KeyPackageFormat) -> None:
    package = replace(good, package_format=package_format).build()
    for wrong in (b"", PASSWORD.reveal().replace("-", "").encode(), PASSWORD.reveal().lower().encode()):
        with pytest.raises(ValueError, match="password"):
            pkcs12.load_pkcs12(package, wrong)


def test_two_packages_of_one_key_share_no_salt(good: Ingredients) -> None:
    assert good.build() != good.build()


@pytest.mark.parametrize("package_format", KeyPackageFormat)
def test_neither_key_nor_password_is_in_clear(good: Ingredients, package_format: KeyPackageFormat) -> None:
    package = replace(good, package_format=package_format).build()
    assert to_pkcs8(good.private_key)[-64:] not in package
    assert PASSWORD.reveal().encode() not in package
    assert PASSWORD.reveal().encode("utf-16-be") not in package


def test_an_elliptic_key_can_be_packed(authority: Authority) -> None:
    key = generate(KeyAlgorithm.P_256)
    certificate = a_certificate(
        authority, key.public_key(), profile=a_profile(key_algorithm=KeyAlgorithm.P_256)
    )
    package = Ingredients(private_key=key, certificate=certificate, chain=authority.chain).build()
    opened = pkcs12.load_pkcs12(package, PASSWORD.reveal().encode())
    assert opened.cert is not None
    assert same_key(opened.cert.certificate.public_key(), key.public_key())


@pytest.mark.parametrize("style", PasswordStyle)
def test_takes_every_kind_of_password_we_make(good: Ingredients, style: PasswordStyle) -> None:
    password = generate_password(PasswordRule.usual(style))
    package = replace(good, password=password).build()
    assert pkcs12.load_pkcs12(package, password.reveal().encode()).key is not None


def test_refuses_a_key_that_is_not_the_certificates(good: Ingredients) -> None:
    with pytest.raises(KeyRefused, match="does not belong to the certificate"):
        replace(good, private_key=generate(KeyAlgorithm.RSA_2048)).build()


def test_the_chain_can_be_left_out(good: Ingredients) -> None:
    package = replace(good, contents=PackageContents.IDENTITY_ALONE).build()
    opened = pkcs12.load_pkcs12(package, PASSWORD.reveal().encode())
    assert opened.cert is not None
    assert opened.cert.certificate == good.certificate
    assert opened.additional_certs == []


def test_a_chain_that_is_left_out_is_checked_all_the_same(good: Ingredients) -> None:
    with pytest.raises(KeyRefused, match="root"):
        replace(good, contents=PackageContents.IDENTITY_ALONE, chain=good.chain[:1]).build()


def test_refuses_a_key_without_its_chain(good: Ingredients) -> None:
    with pytest.raises(KeyRefused, match="chain is missing"):
        replace(good, chain=()).build()


def test_refuses_a_chain_that_ends_below_the_root(good: Ingredients) -> None:
    with pytest.raises(KeyRefused, match="does not lead"):
        replace(good, chain=good.chain[:1]).build()


def test_refuses_a_chain_in_the_wrong_order(good: Ingredients) -> None:
    with pytest.raises(KeyRefused, match="does not lead"):
        replace(good, chain=tuple(reversed(good.chain))).build()


def test_refuses_the_chain_of_another_authority_of_the_same_name(good: Ingredients, linter: Linter) -> None:
    with pytest.raises(KeyRefused, match="does not lead"):
        replace(good, chain=an_authority(linter).chain).build()


@pytest.mark.parametrize("text", ["", "pässword", "new\nline", " 7QK4M", "7QK4M ", "tab\t", "\x7f", "пароль"])
def test_refuses_a_password_that_some_importer_cannot_read(good: Ingredients, text: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        replace(good, password=Password(text)).build()
    assert not text or text not in str(refused.value)
    assert refused.value.__context__ is None


@settings(max_examples=25)
@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60))
def test_any_printable_password_opens_what_it_closed(good: Ingredients, text: str) -> None:
    package = replace(good, password=Password(text)).build()
    assert pkcs12.load_pkcs12(package, text.encode()).cert is not None


def test_the_friendly_name_tells_address_and_month(authority: Authority, recipient_key: PrivateKey) -> None:
    mailbox = Mailbox.parse("bob@example.org")
    later = a_certificate(
        authority, recipient_key.public_key(), mailbox=mailbox, now=NOW + timedelta(days=90)
    )
    assert friendly_name_for(mailbox, later) == "bob@example.org S/MIME 2027-02"


def to_pkcs8_of(key: object) -> bytes:
    assert isinstance(key, PrivateKey)
    return to_pkcs8(key)


@pytest.mark.parametrize("package_format", KeyPackageFormat)
def test_one_to_try_things_out_holds_the_chain_and_no_key(
    good: Ingredients, package_format: KeyPackageFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ca.keypackage.secrets.token_hex", lambda _octets: "known-for-once")
    opened = pkcs12.load_pkcs12(build_keyless_package(good.chain, package_format), b"known-for-once")
    assert (opened.key, opened.cert) == (None, None)
    assert [each.certificate for each in opened.additional_certs] == list(good.chain)


def test_one_to_try_things_out_has_a_password_of_its_own(good: Ingredients) -> None:
    one, other = (build_keyless_package(good.chain, KeyPackageFormat.MODERN) for _ in range(2))
    assert one != other
    for password in (None, b"", PASSWORD.reveal().encode()):
        with pytest.raises(ValueError, match="password"):
            pkcs12.load_pkcs12(one, password)
