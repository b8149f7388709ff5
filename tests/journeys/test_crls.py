"""A revocation, from the operator's command to whoever checks certificates, over HTTP and LDAP."""

import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import ldap3
import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.gateways import ldap_connection, look_up
from tests.postbox import Postbox, postbox
from tests.service import UNHURRIED, Installed, Running, install, serving, succeed

QUICK = {**UNHURRIED, "PUSHPKI_CA__KEY_POOL_SIZE": "2"}
PROMISED_SECONDS = 60


@pytest.fixture(scope="module")
def mail() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
def installed(tmp_path: Path, mail: Postbox) -> Installed:
    return install(tmp_path / "pushpki", smtp=mail.smtp)


def mint(running: Running) -> tuple[str, x509.Certificate]:
    address = f"p{uuid.uuid4().hex[:12]}@example.com"
    (der,) = look_up(running, address)
    return address, x509.load_der_x509_certificate(der)


def fetched(running: Running, url: str) -> bytes:
    """Fetch what a certificate names, from this service instead of the host that the name stands for."""
    answer = urllib.request.urlopen(running.http + urlsplit(url).path, timeout=20)  # noqa: S310 - our own http service
    with answer:
        body: bytes = answer.read()
    return body


def crl_url(certificate: x509.Certificate) -> str:
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (name,) = point.full_name or []
    return str(name.value)


def issuer_url(certificate: x509.Certificate) -> str:
    accesses = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (issuers,) = [one for one in accesses if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS]
    return str(issuers.access_location.value)


def listed(running: Running, certificate: x509.Certificate) -> bool:
    crl = x509.load_der_x509_crl(fetched(running, crl_url(certificate)))
    return crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


def crls_over_ldap(running: Running, issuer: x509.Certificate) -> list[bytes]:
    with ldap_connection(running, bound=False) as connection:
        attribute = "certificateRevocationList;binary"
        connection.search(
            issuer.subject.rfc4514_string(), "(objectClass=pkiCA)", ldap3.BASE, attributes=[attribute]
        )
        (entry,) = connection.response or []
        values: list[bytes] = entry["raw_attributes"][attribute]
        return values


def test_a_revocation_reaches_whoever_checks_before_the_first_answer_after_a_restart_too(
    installed: Installed,
) -> None:
    config = ("--config", str(installed.config))
    with serving(installed, variables=QUICK) as running:
        address, certificate = mint(running)
        issuer = x509.load_der_x509_certificate(fetched(running, issuer_url(certificate)))
        root = x509.load_der_x509_certificate(fetched(running, issuer_url(issuer)))
        assert not listed(running, certificate)

        succeed("revoke", address, "--reason", "keyCompromise", "--yes", *config)
        promised_by = time.monotonic() + PROMISED_SECONDS
        while not listed(running, certificate):
            assert time.monotonic() < promised_by

        crl = x509.load_der_x509_crl(fetched(running, crl_url(certificate)))
        assert crl.issuer == issuer.subject
        assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # of ours
        assert crls_over_ldap(running, issuer) == [fetched(running, crl_url(certificate))]
        assert crls_over_ldap(running, root) == [fetched(running, crl_url(issuer))]

    with serving(installed, variables=QUICK) as running:
        _, second = mint(running)
        assert second.serial_number != certificate.serial_number
        assert listed(running, certificate)
    assert succeed("verify", *config) == {"violations": []}


def test_what_was_revoked_while_nobody_served_is_on_the_first_crl_that_is_fetched(
    installed: Installed,
) -> None:
    config = ("--config", str(installed.config))
    with serving(installed, variables=QUICK) as running:
        address, certificate = mint(running)
    succeed("revoke", address, "--yes", *config)

    with serving(installed, variables=QUICK) as running:
        assert listed(running, certificate)


def test_a_certificate_is_found_on_the_partition_that_it_names_whatever_is_configured_later(
    installed: Installed,
) -> None:
    config = ("--config", str(installed.config))
    with serving(installed, variables={**QUICK, "PUSHPKI_CA__CRL_PARTITIONS": "4"}) as running:
        minted = [mint(running) for _ in range(2)]
        for _, certificate in minted:
            crl = x509.load_der_x509_crl(fetched(running, crl_url(certificate)))
            scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
            (name,) = scope.value.full_name or []
            assert (scope.critical, name.value) == (True, crl_url(certificate))
    address, certificate = minted[0]
    succeed("revoke", address, "--yes", *config)

    elsewhere = {"PUSHPKI_CA__PUBLIC_URL": "http://pki.example.org", "PUSHPKI_CA__CRL_PARTITIONS": "2"}
    with serving(installed, variables={**QUICK, **elsewhere}) as running:
        assert listed(running, certificate)
        assert not listed(running, minted[1][1])
        _, later = mint(running)
        assert crl_url(later).startswith("http://pki.example.org/crl/")
        assert not listed(running, later)
        page = fetched(running, f"{running.http}/metrics").decode()
        # Two complete ones, four partitions of before, two of now; a partition is no label.
        assert "pushpki_crls 8.0" in page
        assert "pushpki_crl_expired 0.0" in page
        assert "pushpki_crl_entries_most 1.0" in page

    with serving(installed, variables=QUICK) as running:
        assert listed(running, certificate)
        _, last = mint(running)
        assert crl_url(last).count("/") == crl_url(certificate).count("/") - 1
    assert succeed("verify", *config) == {"violations": []}
