"""`pushpki certificate`: what is imported is found, and can be revoked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

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
