"""`pushpki key`: a key that is blocked stays out, and its certificates can be revoked by it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ca.keys import key_hash
from tests.directory.cli.workplace import Workplace
from tests.directory.foreign import a_foreign_certificate, pem

ANNA = "anna@example.org"


@pytest.fixture
def certificate(workplace: Workplace) -> Path:
    """A file with a certificate of Anna's."""
    now = datetime.now(UTC).replace(microsecond=0)
    path = workplace.folder / "anna.crt"
    made = a_foreign_certificate(
        x509.RFC822Name(ANNA), not_before=now - timedelta(days=1), not_after=now + timedelta(days=9)
    )
    path.write_bytes(pem(made))
    return path


def hash_of(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return key_hash(key).hex()


@pytest.mark.parametrize("way", ["file", "hash", "colons", "list"])
def test_a_blocked_key_does_not_come_in(workplace: Workplace, certificate: Path, way: str) -> None:
    name = hash_of(certificate)
    match way:
        case "file":
            arguments = [str(certificate)]
        case "hash":
            arguments = [name.upper()]
        case "colons":
            arguments = [":".join(name[at : at + 2] for at in range(0, 64, 2))]
        case _:
            listed = workplace.folder / "list"
            listed.write_text(f"# found on the net\n{'00' * 32}\n{name}  anna's\n{name}\n")
            arguments = ["--list", str(listed)]

    blocked = workplace.document("key", "block", *arguments)["blocked"]

    assert blocked == (2 if way == "list" else 1)
    assert f"the key {name} is blocked" in workplace.refusal(
        "certificate", "import", str(certificate), code=65
    )


def test_it_comes_in_when_the_block_was_a_mistake(workplace: Workplace, certificate: Path) -> None:
    workplace.document("key", "block", str(certificate))

    assert workplace.document("key", "unblock", str(certificate), "--yes") == {
        "unblocked": hash_of(certificate)
    }
    assert workplace.document("certificate", "import", str(certificate))["addresses"] == [ANNA]


def test_revoking_by_key_for_compromise_blocks_it(workplace: Workplace, certificate: Path) -> None:
    workplace.document("certificate", "import", str(certificate))

    done = workplace.document("revoke", "--key", hash_of(certificate), "--reason", "keyCompromise", "--yes")

    assert done["revoked"] == [{"address": ANNA, "serial": "abcdef"}]
    assert "is blocked" in workplace.refusal("certificate", "import", str(certificate), code=65)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("block",), 78, "give one of them"),
        (("block", "nowhere"), 78, "KEY: nowhere cannot be read"),
        (("block", "00"), 78, "KEY: 00 cannot be read"),
        (("block", "{config}"), 78, "holds no public key"),
        (("block", "--list", "{config}"), 78, "--list"),
        (("unblock", "00" * 32, "--yes"), 66, "no blocked key"),
    ],
)
def test_what_is_refused_is_named(
    template: Workplace, arguments: tuple[str, ...], code: int, named: str
) -> None:
    given = [argument.format(config=template.config) for argument in arguments]

    assert named in template.refusal("key", *given, code=code)
