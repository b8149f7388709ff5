"""`pushpki lookup`: what the directory answers an operator, and what a gateway would get."""

import pytest
from cryptography import x509

from tests.directory.cli.workplace import Workplace

ANNA = "anna@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def test_a_gateway_causes_a_mint_and_an_operator_then_finds_it(workplace: Workplace) -> None:
    minted = workplace.document("lookup", "Anna@example.org", "--gateway", "gw")

    assert (minted["address"], minted["origin"]) == ("Anna@example.org", "minted")
    certificate = x509.load_pem_x509_certificate(minted["certificate"].encode())
    assert f"{certificate.serial_number:x}" == minted["serial"]
    assert len(minted["enrolment_id"]) == 32

    found = workplace.document("lookup", ANNA)
    assert found == minted | {"enrolment_id": None}
    assert "\n".join(workplace.lines("lookup", ANNA)) + "\n" == minted["certificate"]
    assert workplace.document("verify") == {"violations": []}


def test_an_operator_only_reads(workplace: Workplace) -> None:
    done = workplace.pushpki("lookup", ANNA)

    assert (done.code, done.out) == (1, "")
    assert done.err == f"pushpki: no certificate for {ANNA}: lookup.not_found\n"
    assert workplace.pushpki("lookup", ANNA).code == 1


def test_a_refusal_is_a_document_for_programs(workplace: Workplace) -> None:
    done = workplace.pushpki("lookup", "somebody@hospital.org", "--gateway", "gw", "--json")

    assert done.code == 1
    assert '"refusal": "policy.own_domain"' in done.out
    assert '"certificate": null' in done.out
    assert "policy.own_domain" in done.err


def test_a_limit_that_is_used_up_asks_to_come_back(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHPKI_LIMITS__GATEWAY_BURST", "1")
    workplace.document("lookup", ANNA, "--gateway", "gw")

    done = workplace.pushpki("lookup", "bert@example.org", "--gateway", "gw", "--json")

    assert done.code == 75
    assert '"refusal": "limit.reached"' in done.out
    assert '"retry_after_seconds": 3' in done.out
    assert "ask again in 3" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("anna",), 78, "ADDRESS: 'anna' is not an address"),
        (("anna@example.org\n",), 78, "ADDRESS"),
        ((ANNA, "--gateway", "nobody"), 66, "no gateway 'nobody'"),
    ],
)
def test_what_is_refused_is_named(
    template: Workplace, arguments: tuple[str, ...], code: int, named: str
) -> None:
    assert named in template.refusal("lookup", *arguments, code=code)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("PUSHPKI_CA__PUBLIC_URL", "http://localhost", "ca.public_url: must name a host"),
        ("PUSHPKI_CA__POLICY_OID", "2.23.140.1.5.1.3", "ca.policy_oid: must be private"),
        ("PUSHPKI_CA__POLICY_OID", "nonsense", "ca.policy_oid: is not a dotted"),
    ],
)
def test_a_setting_that_the_authority_refuses_is_named(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)

    assert named in workplace.refusal("lookup", ANNA, "--gateway", "gw", code=78)
