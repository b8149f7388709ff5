"""OpenSSL and GnuPG judge certificates by the partitions of a CRL: one can read them, the other cannot.

What GnuPG does with them is why there are none unless somebody asks for them (docs/decisions/0019).
"""

import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from tests.interop.programs import authorities, mint, run
from tests.interop.test_gnupg import remove, trust
from tests.postbox import Postbox
from tests.service import UNHURRIED, Running, install, serving, succeed

Find = Callable[[str], str]
PARTITIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A certificate, and where it says that its CRL is."""

    address: str
    certificate: x509.Certificate
    crl_url: str

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory, mail: Postbox) -> Iterator[Running]:
    installed = install(tmp_path_factory.mktemp("partitions") / "pushpki", smtp=mail.smtp)
    variables = {**UNHURRIED, "PUSHPKI_CA__CRL_PARTITIONS": str(PARTITIONS)}
    with serving(installed, variables=variables) as running:
        yield running


def minted(find: Find, running: Running) -> Minted:
    address, der = mint(find, running)
    certificate = x509.load_der_x509_certificate(der)
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (name,) = point.full_name or []
    return Minted(address=address, certificate=certificate, crl_url=str(name.value))


def fetched(find: Find, running: Running, url: str) -> x509.CertificateRevocationList:
    """Fetch what a certificate names, from this service instead of the host that the name stands for."""
    done = run([find("curl"), "-s", "--fail", running.http + urlsplit(url).path])
    assert done.returncode == 0, done.stderr
    return x509.load_der_x509_crl(done.stdout)


def revoked(find: Find, running: Running) -> Minted:
    """Have a certificate minted and revoked; return it when it is on the CRL that it names."""
    one = minted(find, running)
    config = ("--config", str(running.installed.config))
    succeed("revoke", one.address, "--reason", "superseded", "--yes", *config)
    for _ in range(2000):
        crl = fetched(find, running, one.crl_url)
        if crl.get_revoked_certificate_by_serial_number(one.certificate.serial_number) is not None:
            return one
    pytest.fail("the revocation is not on the CRL")


Verify = Callable[..., str]


@pytest.fixture
def verified(program: Find, partitioned: Running, tmp_path: Path) -> Verify:
    """Say what OpenSSL says of a certificate, by a CRL and nothing else."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in authorities(program, partitioned)))

    def verify(one: Minted, crl_url: str, *options: str) -> str:
        file = tmp_path / "crl.pem"
        file.write_bytes(fetched(program, partitioned, crl_url).public_bytes(Encoding.PEM))
        files = ("-CAfile", str(chain), "-CRLfile", str(file))
        done = run(
            [program("openssl"), "verify", "-x509_strict", "-crl_check", *options, *files],
            data=one.certificate.public_bytes(Encoding.PEM),
        )
        return (done.stdout + done.stderr).decode()

    return verify


@pytest.mark.parametrize("options", [(), ("-extended_crl",)], ids=["as it is", "extended_crl"])
def test_openssl_refuses_what_was_revoked_by_the_crl_that_the_certificate_names(
    program: Find, partitioned: Running, verified: Verify, options: tuple[str, ...]
) -> None:
    bad, good = revoked(program, partitioned), minted(program, partitioned)

    assert "certificate revoked" in verified(bad, bad.crl_url, *options)
    assert ": OK" in verified(good, good.crl_url, *options)


def test_openssl_does_not_go_by_the_crl_of_another_partition(
    program: Find, partitioned: Running, verified: Verify
) -> None:
    bad = revoked(program, partitioned)
    others = (minted(program, partitioned) for _ in range(100))
    elsewhere = next(other.crl_url for other in others if other.crl_url != bad.crl_url)

    said = verified(bad, elsewhere)

    assert "certificate revoked" not in said
    assert "ifferent CRL scope" in said


def test_openssl_goes_by_the_complete_crl_whatever_the_certificate_names(
    program: Find, partitioned: Running, verified: Verify
) -> None:
    bad, good = revoked(program, partitioned), minted(program, partitioned)
    succeed("ca", "crl", "issue", "--config", str(partitioned.installed.config))
    complete = bad.crl_url.rpartition("/")[0] + ".crl"
    for _ in range(2000):
        crl = fetched(program, partitioned, complete)
        if crl.get_revoked_certificate_by_serial_number(bad.certificate.serial_number) is not None:
            break

    assert "certificate revoked" in verified(bad, complete)
    assert ": OK" in verified(good, complete)


@contextmanager
def proxy(running: Running) -> Iterator[int]:
    """Stand in for every host: a proxy that asks the service whatever is asked for; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = running.http + urlsplit(self.path).path
            with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own http service
                body: bytes = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def judging(find: Find, running: Running) -> Iterator[Callable[[Minted], str]]:
    """Yield what gpgsm says of a certificate when it looks at CRLs, which dirmngr fetches where it says."""
    with proxy(running) as port:
        home = Path(tempfile.mkdtemp(prefix="gpgsm-"))  # a short path: sockets are made in it
        (home / "dirmngr.conf").write_text(
            f"disable-ldap\nhttp-proxy http://127.0.0.1:{port}\n", encoding="ascii"
        )
        gpgsm, variables = [find("gpgsm"), "--batch", "--no-tty"], {"GNUPGHOME": str(home)}

        def judged(one: Minted) -> str:
            run([*gpgsm, "--disable-crl-checks", "--import"], variables=variables, data=one.der)
            done = run([*gpgsm, "--with-validation", "--list-keys", one.address], variables=variables)
            return (done.stdout + done.stderr).decode()

        try:
            issuing, root = authorities(find, running)
            trust(home, root)
            for one in (root, issuing):
                der = one.public_bytes(Encoding.DER)
                run([*gpgsm, "--disable-crl-checks", "--import"], variables=variables, data=der)
            yield judged
        finally:
            run([find("gpgconf"), "--kill", "all"], variables=variables)
            remove(home)


def test_gnupg_goes_by_the_complete_crl(program: Find, service: Running) -> None:
    program("dirmngr")
    bad, good = revoked(program, service), minted(program, service)

    with judging(program, service) as judged:
        assert "certificate has been revoked" in judged(bad)
        assert "certificate is good" in judged(good)


def test_gnupg_takes_no_certificate_of_an_issuer_whose_crl_it_finds_in_partitions(
    program: Find, partitioned: Running
) -> None:
    program("dirmngr")
    good = minted(program, partitioned)

    with judging(program, partitioned) as judged:
        said = judged(good)

    assert "certificate is bad" in said
    assert "Invalid CRL" in said
