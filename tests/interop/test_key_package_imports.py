"""Key packages taken in by what recipients have: OpenSSL, NSS (Thunderbird), gpgsm, Java, GnuTLS.

Each program must end up with the key of the certificate, show the friendly name, and have the chain if it was
in the file; and where it reads mail, it reads one that was encrypted to the certificate. What is known not to
work is asserted as well: the day it works, the test says so, and the documentation can be changed.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
    load_pem_public_key,
)

from ca.keypackage import KeyPackageFormat, PackageContents, build_key_package, friendly_name_for
from ca.keys import KeyAlgorithm, generate
from ca.passwords import Password
from tests.builders import ALICE, Authority, a_certificate, a_profile
from tests.interop.programs import run
from tests.interop.test_gnupg import remove

Find = Callable[[str], str]
_PACKAGES = 8
PASSWORD = Password("7QK4M-ZT0XN-2GHWD-9PVRC-5SJYA")
LETTER = b"The results are in.\r\n"
PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----\n", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A key package in a folder of its own, with all that tells whether an import of it went well."""

    folder: Path
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """As far as it is in the file."""
    root: x509.Certificate
    algorithm: KeyAlgorithm
    package_format: KeyPackageFormat
    packed: Callable[[], bytes]

    @property
    def file(self) -> str:
        return str(self.folder / "encryption-key.p12")

    def pack(self) -> None:
        """Write the file, with salts of its own each time."""
        Path(self.file).write_bytes(self.packed())

    @property
    def password_file(self) -> str:
        return str(self.folder / "password")

    @property
    def friendly_name(self) -> str:
        return friendly_name_for(ALICE, self.certificate)

    def letter(self, find: Find, form: str) -> str:
        """Have a letter encrypted to the recipient by openssl; return its file."""
        recipient, letter = self.folder / "recipient.pem", self.folder / f"letter.{form.lower()}"
        recipient.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        options = ("-encrypt", "-binary", "-aes-256-cbc", "-outform", form, "-out", str(letter))
        done = run([find("openssl"), "cms", *options, str(recipient)], data=LETTER)
        assert done.returncode == 0, done.stderr
        return str(letter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A recipient's certificate, and what makes key packages of it."""

    certificate: x509.Certificate
    authority: Authority
    algorithm: KeyAlgorithm
    packed: Callable[[KeyPackageFormat, PackageContents], bytes]


@pytest.fixture(scope="module", params=[KeyAlgorithm.RSA_3072, KeyAlgorithm.P_256])
def identity(request: pytest.FixtureRequest, authority: Authority) -> Identity:
    algorithm: KeyAlgorithm = request.param
    key = generate(algorithm)
    certificate = a_certificate(authority, key.public_key(), profile=a_profile(key_algorithm=algorithm))

    def packed(package_format: KeyPackageFormat, contents: PackageContents) -> bytes:
        return build_key_package(
            private_key=key,
            certificate=certificate,
            chain=authority.chain,
            password=PASSWORD,
            package_format=package_format,
            friendly_name=friendly_name_for(ALICE, certificate),
            contents=contents,
        )

    return Identity(certificate=certificate, authority=authority, algorithm=algorithm, packed=packed)


@pytest.fixture(params=PackageContents)
def contents(request: pytest.FixtureRequest) -> PackageContents:
    chosen: PackageContents = request.param
    return chosen


@pytest.fixture(params=KeyPackageFormat)
def case(
    request: pytest.FixtureRequest, identity: Identity, contents: PackageContents, tmp_path: Path
) -> Case:
    (tmp_path / "password").write_text(PASSWORD.reveal() + "\n", encoding="ascii")
    case = Case(
        folder=tmp_path,
        certificate=identity.certificate,
        chain=identity.authority.chain if contents is PackageContents.WITH_CHAIN else (),
        root=identity.authority.root.certificate,
        algorithm=identity.algorithm,
        package_format=request.param,
        packed=partial(identity.packed, request.param, contents),
    )
    case.pack()
    return case


def succeed(command: list[str], *, data: bytes | None = None) -> bytes:
    done = run(command, data=data)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def blocks(output: bytes, label: bytes) -> list[bytes]:
    return [found[0] for found in PEM.finditer(output) if found[1] == label]


def opened_by_openssl(find: Find, case: Case, package: Path) -> bytes:
    password = f"file:{case.password_file}"
    return succeed([find("openssl"), "pkcs12", "-in", str(package), "-passin", password, "-nodes"])


def assert_holds_it_all(case: Case, opened: bytes) -> None:
    (key,) = blocks(opened, b"PRIVATE KEY")
    assert load_pem_private_key(key, None).public_key() == case.certificate.public_key()
    found = {x509.load_pem_x509_certificate(pem) for pem in blocks(opened, b"CERTIFICATE")}
    assert found == {case.certificate, *case.chain}


def test_openssl(program: Find, case: Case) -> None:
    opened = opened_by_openssl(program, case, Path(case.file))
    (case.folder / "key.pem").write_bytes(*blocks(opened, b"PRIVATE KEY"))
    decrypt = ["-decrypt", "-inform", "SMIME", "-in", case.letter(program, "SMIME")]
    letter = succeed([program("openssl"), "cms", *decrypt, "-inkey", str(case.folder / "key.pem")])

    assert_holds_it_all(case, opened)
    assert f"friendlyName: {case.friendly_name}\n".encode() in opened
    assert letter == LETTER


def test_nss(program: Find, case: Case) -> None:
    """What Thunderbird and Evolution import with."""
    database = f"sql:{case.folder}"
    succeed([program("certutil"), "-N", "-d", database, "--empty-password"])
    taken = [program("pk12util"), "-d", database, "-w", case.password_file]

    said = succeed([*taken, "-i", case.file])
    listed = succeed([program("certutil"), "-L", "-d", database]).decode()
    # What it gives out again is what it has understood.
    out = case.folder / "out.p12"
    succeed([*taken, "-n", case.friendly_name, "-o", str(out)])

    assert b"IMPORT SUCCESSFUL" in said
    # "u": there is a private key to it.
    assert re.search(rf"^{re.escape(case.friendly_name)} +u,u,u *$", listed, re.MULTILINE)
    assert len(re.findall(r"^.+ +[A-Za-z]*,[A-Za-z]*,[A-Za-z]* *$", listed, re.MULTILINE)) == 1 + len(
        case.chain
    )
    assert_holds_it_all(case, opened_by_openssl(program, case, out))


def test_nss_reads_a_mail(program: Find, case: Case) -> None:
    database = f"sql:{case.folder}"
    succeed([program("certutil"), "-N", "-d", database, "--empty-password"])
    succeed([program("pk12util"), "-d", database, "-w", case.password_file, "-i", case.file])

    done = run([program("cmsutil"), "-D", "-d", database, "-i", case.letter(program, "DER")])

    if case.algorithm is KeyAlgorithm.P_256:
        # NSS has no key agreement in CMS (RFC 5753), so Thunderbird reads no mail to an elliptic key.
        assert done.returncode != 0
        assert b"problem decoding" in done.stderr
    else:
        assert done.stdout == LETTER


def test_keytool(program: Find, case: Case) -> None:
    """Java's own reader of PKCS#12."""
    keytool = program("keytool")
    store = ["-keystore", case.file, "-storetype", "PKCS12", "-storepass:file", case.password_file]
    out = case.folder / "out.p12"
    target = ["-destkeystore", str(out), "-deststoretype", "PKCS12"]
    source = ["-srckeystore", case.file, "-srcstoretype", "PKCS12", "-srcstorepass:file", case.password_file]

    listed = succeed([keytool, "-J-XX:TieredStopAtLevel=1", "-list", "-v", *store])
    succeed(
        [
            *(keytool, "-J-XX:TieredStopAtLevel=1", "-importkeystore", "-noprompt"),
            *(*source, *target, "-deststorepass:file", case.password_file),
        ]
    )

    # It shows names in lower case.
    assert f"Alias name: {case.friendly_name.lower()}\n".encode() in listed
    assert f"Certificate chain length: {1 + len(case.chain)}\n".encode() in listed
    assert_holds_it_all(case, opened_by_openssl(program, case, out))


def test_certtool(program: Find, case: Case) -> None:
    """GnuTLS."""
    certtool, password = program("certtool"), f"--password={PASSWORD.reveal()}"

    taken = succeed([certtool, "--p12-info", "--inder", f"--infile={case.file}", password])
    # It shows the key as sealed as it was; opening it is another step.
    (sealed,) = blocks(taken, b"ENCRYPTED PRIVATE KEY")
    (case.folder / "sealed.pem").write_bytes(sealed)
    opened = succeed([certtool, "--pubkey-info", f"--load-privkey={case.folder / 'sealed.pem'}", password])

    (public_pem,) = blocks(opened, b"PUBLIC KEY")
    assert load_pem_public_key(public_pem) == case.certificate.public_key()
    found = {x509.load_pem_x509_certificate(pem) for pem in blocks(taken, b"CERTIFICATE")}
    assert found == {case.certificate, *case.chain}
    assert f"Friendly name: {case.friendly_name}\n".encode() in taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpgsm:
    """gpgsm with a home of its own; the passphrase comes from its standard input."""

    program: str
    home: Path

    def __call__(self, *arguments: str) -> CompletedProcess[bytes]:
        options = ("--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--disable-crl-checks")
        password = PASSWORD.reveal().encode() + b"\n"
        command = [self.program, *options, *arguments]
        return run(command, variables={"GNUPGHOME": str(self.home)}, data=password)

    def take(self, case: Case) -> CompletedProcess[bytes]:
        """Import the key package.

        With some salts gpgsm 2.2 derives wrong keys (2 of 94 packages, whatever the key). Then it gets
        another package of the same key under the same password, as a recipient would have it sent again.
        """
        done = self("--import", case.file)
        for _ in range(_PACKAGES):
            if b"error parsing or decrypting the PKCS#12 file" not in done.stderr:
                break
            case.pack()
            done = self("--import", case.file)
        return done

    @property
    def is_of_2_2(self) -> bool:
        return b"(GnuPG) 2.2." in self("--version").stdout


@pytest.fixture
def gpgsm(program: Find, case: Case) -> Iterator[Gpgsm]:
    # A short path: sockets are made in it.
    home = Path(tempfile.mkdtemp(prefix="gpgsm-"))
    fingerprint = case.root.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - what the file is made of
    (home / "trustlist.txt").write_text(f"{fingerprint} S relax\n", encoding="ascii")
    try:
        yield Gpgsm(program=program("gpgsm"), home=home)
    finally:
        run([program("gpgconf"), "--kill", "all"], variables={"GNUPGHOME": str(home)})
        remove(home)


def test_gpgsm(program: Find, case: Case, gpgsm: Gpgsm) -> None:
    """GnuPG, KMail and Kleopatra; it shows no friendly names."""
    imported = gpgsm.take(case)
    read = gpgsm("--decrypt", case.letter(program, "DER"))

    if gpgsm.is_of_2_2 and case.package_format is KeyPackageFormat.MODERN:
        # Before 2.4 it reads no PBES2 with a PRF that is named (GnuPG T6536); the compatible file cures it.
        assert b'encryptedData error at "pkcs5PBES2-params"' in imported.stderr
        assert b"secret keys imported" not in imported.stderr
    elif gpgsm.is_of_2_2 and case.algorithm is KeyAlgorithm.P_256:
        # It takes elliptic keys out of no PKCS#12 at all: it ends with a segmentation fault.
        assert b"secret keys imported" not in imported.stderr
        assert read.stdout == b""
    else:
        assert b"secret keys imported: 1" in imported.stderr, imported.stderr
        assert f" imported: {1 + len(case.chain)}\n".encode() in imported.stderr
        assert read.stdout == LETTER, read.stderr
