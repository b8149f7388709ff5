"""`pushpki revoke`: by address or serial number, once, and only when it is meant."""

import pytest
from cryptography import x509

from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


@pytest.fixture
def serial(workplace: Workplace) -> str:
    """The serial number of Anna's certificate."""
    return str(workplace.document("lookup", ANNA, "--gateway", "gw")["serial"])


def test_an_address_is_revoked(workplace: Workplace, serial: str) -> None:
    done = workplace.document("revoke", "ANNA@example.org", "--reason", "keyCompromise", "--yes")

    assert done == {"revoked": [{"address": ANNA, "serial": serial}], "reason": "keyCompromise"}
    assert "lookup.not_found" in workplace.pushpki("lookup", ANNA).err
    assert "policy.revoked" in workplace.pushpki("lookup", ANNA, "--gateway", "gw").err
    assert workplace.document("verify") == {"violations": []}


@pytest.mark.parametrize("spelled", ["{0}", "0x{0}", "0{0}", "upper", "colons"])
def test_a_serial_number_is_taken_in_every_usual_spelling(
    workplace: Workplace, serial: str, spelled: str
) -> None:
    match spelled:
        case "upper":
            text = serial.upper()
        case "colons":
            even = serial if len(serial) % 2 == 0 else f"0{serial}"
            text = ":".join(even[at : at + 2] for at in range(0, len(even), 2))
        case _:
            text = spelled.format(serial)

    assert workplace.lines("revoke", "--serial", text, "--yes") == [f"Revoked {serial} of {ANNA}."]


def test_a_superseded_certificate_has_a_successor(workplace: Workplace, serial: str) -> None:
    workplace.document("revoke", ANNA, "--reason", "superseded", "--yes")

    successor = workplace.document("lookup", ANNA, "--gateway", "gw")

    assert successor["origin"] == "minted"
    assert successor["serial"] != serial


def test_without_a_terminal_it_wants_yes(workplace: Workplace, serial: str) -> None:
    line = workplace.refusal("revoke", ANNA, code=78)

    assert "--yes" in line
    assert ANNA in line
    assert workplace.document("lookup", ANNA)["serial"] == serial


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ((), 78, "nothing says what to revoke"),
        (
            (ANNA, "--serial", "1f"),
            78,
            "ADDRESS and --serial are given — give either an address or one of --serial",
        ),
        (("anna",), 78, "ADDRESS: 'anna' is not an address"),
        (("--serial", "xyz"), 78, "--serial: 'xyz' is not a serial number — give it in hexadecimal"),
        (("--serial", ""), 78, "--serial: '' is not a serial number"),
        (("nobody@example.org",), 66, "no certificate 'nobody@example.org'"),
        (("--serial", "1f"), 66, "no certificate '1f'"),
    ],
)
def test_what_is_refused_is_named(
    template: Workplace, arguments: tuple[str, ...], code: int, named: str
) -> None:
    assert named in template.refusal("revoke", *arguments, "--yes", code=code)


def test_what_an_organization_minted_is_revoked_together(workplace: Workplace, serial: str) -> None:
    done = workplace.document("revoke", "--org", "hospital", "--yes")

    assert done["revoked"] == [{"address": ANNA, "serial": serial}]


def test_what_an_issuer_issued_is_revoked_together(workplace: Workplace, serial: str) -> None:
    pem = workplace.document("lookup", ANNA)["certificate"].encode()
    extensions = x509.load_pem_x509_certificate(pem).extensions
    issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer is not None

    done = workplace.document("revoke", "--issuer", issuer.hex().upper(), "--yes")

    assert done["revoked"] == [{"address": ANNA, "serial": serial}]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--key", "00" * 32), "no certificate 'key 0000"),
        (("--issuer", "00"), "no certificate 'issuer 00'"),
        (("--org", "nobody"), "no organization 'nobody'"),
    ],
)
def test_what_is_nobodys_is_unknown(template: Workplace, arguments: tuple[str, ...], named: str) -> None:
    assert named in template.refusal("revoke", *arguments, "--yes", code=66)
