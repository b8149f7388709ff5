"""`pushpki certificate`: what is imported is found, and can be revoked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.keys import KeyAlgorithm, generate
from tests.directory.cli.workplace import Workplace
from tests.directory.foreign import a_foreign_certificate, der, pem

ANNA = "anna@example.org"


def a_file(folder: Path, name: x509.GeneralName, *, lifetime: timedelta = timedelta(days=9)) -> str:
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = a_foreign_certificate(name, not_before=now - timedelta(days=9), not_after=now + lifetime)
    path = folder / "own.crt"
    path.write_bytes(pem(certificate))
    return str(path)


def test_an_imported_certificate_is_found(workplace: Workplace) -> None:
    file = a_file(workplace.folder, x509.RFC822Name(ANNA))

    done = workplace.document("certificate", "import", file)

    assert (done["addresses"], done["serial"]) == ([ANNA], "abcdef")
    answer = workplace.document("lookup", ANNA)
    assert answer["origin"] == "found"
    imported = x509.load_pem_x509_certificate(Path(file).read_bytes())
    assert der(x509.load_pem_x509_certificate(answer["certificate"].encode())) == der(imported)
    assert workplace.document("verify") == {"violations": []}


def test_it_says_for_whom_and_until_when(workplace: Workplace) -> None:
    (line,) = workplace.lines("certificate", "import", a_file(workplace.folder, x509.RFC822Name(ANNA)))

    assert line.startswith(f"Published for {ANNA}, until 20")


def test_one_bound_to_a_domain_is_revoked_by_the_domain(workplace: Workplace) -> None:
    workplace.document("certificate", "import", a_file(workplace.folder, x509.DNSName("example.org")))

    done = workplace.document("revoke", "Example.org", "--yes")

    assert done["revoked"] == [{"address": "example.org", "serial": "abcdef"}]


def test_the_same_certificate_is_imported_once(workplace: Workplace) -> None:
    file = a_file(workplace.folder, x509.RFC822Name(ANNA))
    workplace.document("certificate", "import", file)

    assert ANNA in workplace.pushpki("certificate", "import", file).err


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_file_that_cannot_be_used_is_refused(workplace: Workplace, content: str | None) -> None:
    path = workplace.folder / "own.crt"
    if content is not None:
        path.write_text(content)

    assert "FILE" in workplace.refusal("certificate", "import", str(path), code=78)


def test_an_organization_that_shares_has_nothing_of_its_own(workplace: Workplace) -> None:
    file = a_file(workplace.folder, x509.RFC822Name(ANNA))

    assert "--org" in workplace.refusal("certificate", "import", file, "--org", "hospital", code=78)


class Gateway:
    """A gateway's key, as a request and by itself."""

    def __init__(self, folder: Path, *names: str) -> None:
        key = generate(KeyAlgorithm.RSA_2048)
        alternatives = x509.SubjectAlternativeName([x509.RFC822Name(name) for name in names])
        request = x509.CertificateSigningRequestBuilder(x509.Name([]))
        if names:
            request = request.add_extension(alternatives, critical=False)
        self.request, self.key = str(folder / "gateway.csr"), str(folder / "gateway.pub")
        Path(self.request).write_bytes(request.sign(key, SHA256()).public_bytes(Encoding.PEM))
        Path(self.key).write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )


EVA = "eva@hospital.org"


@pytest.mark.parametrize("names", [(), (EVA,)])
def test_a_gateway_decrypts_for_an_address_of_its_organization(
    workplace: Workplace, names: tuple[str, ...]
) -> None:
    gateway = Gateway(workplace.folder, *names)

    done = workplace.document("certificate", "proxy", EVA, "--org", "hospital", "--csr", gateway.request)

    (published,) = done["published"]
    assert published["address"] == EVA
    assert workplace.document("lookup", EVA)["serial"] == published["serial"]
    assert workplace.document("verify") == {"violations": []}


def test_a_list_of_addresses_is_bound_to_a_public_key_once(workplace: Workplace) -> None:
    gateway = Gateway(workplace.folder)
    listed = workplace.folder / "addresses"
    listed.write_text(f"{EVA}\n\n otto@hospital.org\n")
    command = ("certificate", "proxy", "--org", "hospital", "--public-key", gateway.key)

    lines = workplace.lines(*command, "--list", str(listed))

    assert [line.split(",")[0] for line in lines] == [
        f"Published for {EVA}",
        "Published for otto@hospital.org",
    ]
    assert workplace.lines(*command, EVA) == ["Every address has a certificate of this key already."]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((EVA, "--csr", "{request}", "--public-key", "{key}"), "give --csr or --public-key"),
        ((EVA,), "give --csr or --public-key"),
        ((EVA, "--csr", "{request}"), "names otto@hospital.org"),
        ((EVA, "--csr", "{key}"), "no certificate request"),
        (("--public-key", "{key}"), "0 addresses"),
        (("anna@example.org", "--public-key", "{key}"), "in no domain of hospital"),
    ],
)
def test_a_key_is_not_bound_to_whom_it_should_not(
    workplace: Workplace, arguments: tuple[str, ...], named: str
) -> None:
    gateway = Gateway(workplace.folder, "otto@hospital.org")
    given = [argument.format(request=gateway.request, key=gateway.key) for argument in arguments]

    assert named in workplace.refusal("certificate", "proxy", *given, "--org", "hospital", code=78)


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (("import",), "request:import"),
        (("proxy", "desk@hospital.org", "--org", "hospital", "--csr"), "request:proxy"),
    ],
)
def test_a_request_that_is_refused_is_on_record(
    workplace: Workplace, tmp_path: Path, arguments: tuple[str, ...], refused: str
) -> None:
    file = tmp_path / "nonsense.pem"
    file.write_text("nonsense", encoding="ascii")

    workplace.refusal("certificate", *arguments, str(file), code=78)

    (event,) = [
        json.loads(line)["event"]
        for line in workplace.pushpki("audit", "export").out.splitlines()
        if "request.refused" in line
    ]
    assert (event["subject"], event["detail"]) == (refused, {"because": "ConfigurationRefused"})
