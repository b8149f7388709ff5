"""GnuPG: gpgsm asks dirmngr, and dirmngr asks the directory, for recipients and for issuers."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.interop.programs import authorities, mint, run
from tests.service import Running

Find = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpgsm:
    """gpgsm with a home of its own, whose dirmngr knows only the service."""

    program: str
    home: Path

    def __call__(self, *arguments: str, data: bytes | None = None) -> CompletedProcess[bytes]:
        command = [self.program, "--batch", "--no-tty", "--disable-crl-checks", *arguments]
        return run(command, variables={"GNUPGHOME": str(self.home)}, data=data)

    def serials(self, *arguments: str) -> set[int]:
        """Return the serial numbers of the certificates that a command lists."""
        done = self("--with-colons", *arguments)
        lines = [line.split(":") for line in done.stdout.decode().splitlines()]
        # GnuPG's doc/DETAILS: the eighth field of a certificate's line.
        return {int(fields[7], 16) for fields in lines if fields[0] in {"crt", "crs"}}


@pytest.fixture
def gpgsm(program: Find, service: Running) -> Iterator[Gpgsm]:
    program("dirmngr")
    # A short path: sockets are made in it.
    home = Path(tempfile.mkdtemp(prefix="gpgsm-"))
    (home / "dirmngr_ldapservers.conf").write_text(
        f"127.0.0.1:{service.ports['ldap']}::::\n", encoding="ascii"
    )
    try:
        yield Gpgsm(program=program("gpgsm"), home=home)
    finally:
        run([program("gpgconf"), "--kill", "all"], variables={"GNUPGHOME": str(home)})
        remove(home)


def remove(home: Path) -> None:
    """Remove the home of daemons that were told to end, and that may still be unlinking their sockets."""

    def unless_gone(_: object, __: str, problem: tuple[type[BaseException], BaseException, object]) -> None:
        if not isinstance(problem[1], FileNotFoundError):
            raise problem[1]

    shutil.rmtree(home, onerror=unless_gone)


def trust(home: Path, root: x509.Certificate) -> None:
    fingerprint = root.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - what trustlist.txt is made of
    (home / "trustlist.txt").write_text(f"{fingerprint} S relax\n", encoding="ascii")


@pytest.mark.parametrize("pattern", ["<{}>", "{}"], ids=["the address", "free text, as Kleopatra asks"])
def test_l22_a_recipient_is_found_by_his_address(
    program: Find, service: Running, gpgsm: Gpgsm, pattern: str
) -> None:
    address, certificate = mint(program, service)

    listed = gpgsm.serials("--list-external-keys", pattern.format(address))

    assert listed == {x509.load_der_x509_certificate(certificate).serial_number}


def test_nobody_is_found_at_an_address_that_is_not_known(gpgsm: Gpgsm) -> None:
    done = gpgsm("--with-colons", "--list-external-keys", "<nobody.at.all@example.com>")

    # What gpgsm says of an empty success; of a refusal it would tell what it was.
    assert b"listing external keys failed: No data" in done.stderr
    assert done.stdout == b""


def test_l07_the_issuers_of_an_imported_certificate_are_found_and_it_can_be_encrypted_to(
    program: Find, service: Running, gpgsm: Gpgsm
) -> None:
    address, certificate = mint(program, service)
    root = next(one for one in authorities(program, service) if one.issuer == one.subject)
    trust(gpgsm.home, root)

    # Its exit status tells that it looked for the issuers elsewhere first, where they are not.
    imported = gpgsm("--auto-issuer-key-retrieve", "--import", data=certificate)
    kept = gpgsm.serials("--list-keys")
    encrypted = gpgsm("--encrypt", "--recipient", address, "--armor", data=b"a letter")

    assert b"imported: 1" in imported.stderr, imported.stderr
    assert kept >= {one.serial_number for one in authorities(program, service)}
    assert encrypted.returncode == 0, encrypted.stderr
    assert encrypted.stdout.startswith(b"-----BEGIN ENCRYPTED MESSAGE-----")
