"""An authority that signs with RSASSA-PSS from its root on: OpenSSL believes chain and CRLs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import SignatureAlgorithmOID

from tests.interop.programs import authorities, mint, run
from tests.postbox import Postbox
from tests.service import UNHURRIED, Running, install, serving

Program = Callable[[str], str]


@pytest.fixture(scope="module")
def service(mail: Postbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("pss") / "pushpki"
    installed = install(folder, smtp=mail.smtp, init=("--signature", "pss"))
    with serving(installed, variables=UNHURRIED) as running:
        yield running


def written(place: Path, *certificates: x509.Certificate) -> str:
    place.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    return str(place)


def test_openssl_verifies_the_whole_chain(program: Program, service: Running, tmp_path: Path) -> None:
    issuing, root = authorities(program, service)
    _, der = mint(program, service)
    leaf = x509.load_der_x509_certificate(der)
    assert {one.signature_algorithm_oid for one in (leaf, issuing, root)} == {
        SignatureAlgorithmOID.RSASSA_PSS
    }

    done = run(
        [
            *(program("openssl"), "verify", "-x509_strict", "-check_ss_sig", "-purpose", "smimeencrypt"),
            *("-CAfile", written(tmp_path / "root", root)),
            *("-untrusted", written(tmp_path / "issuing", issuing), written(tmp_path / "leaf", leaf)),
        ]
    )

    assert done.returncode == 0, done.stderr


def test_openssl_verifies_the_first_crls(program: Program, service: Running, tmp_path: Path) -> None:
    chain = authorities(program, service)
    bundle = written(tmp_path / "chain", *chain)
    for one in chain:
        key_id = one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        fetched = run([program("curl"), "-s", "--fail", f"{service.http}/crl/{key_id}.crl"])
        crl = x509.load_der_x509_crl(fetched.stdout)
        assert crl.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS

        done = run(
            [program("openssl"), "crl", "-inform", "DER", "-noout", "-CAfile", bundle], data=fetched.stdout
        )

        assert b"verify OK" in done.stderr, done.stderr
