"""`pushpki clock`: by a clock that is wrong nothing is signed until an operator has looked."""

import asyncio
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca.keys import KeyAlgorithm, generate
from directory.audit import AuditEvent, AuditKind
from directory.settings import load_settings
from directory.wiring.installation import open_installation
from tests.ca.strangers import Stranger
from tests.directory.cli.test_cross import BEGIN, END, OTHER
from tests.directory.cli.workplace import Workplace

ANNA, BERT = "anna@example.org", "bert@example.org"


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHPKI_CA__KEY_ALGORITHM", "rsa-2048")


def put_tomorrow_on_record(workplace: Workplace) -> None:
    """Do what a service does whose clock is a day ahead."""

    async def work() -> None:
        async with open_installation(load_settings(workplace.config), None) as opened:
            tomorrow = opened.clock.now() + timedelta(days=1)
            await opened.audit_log.append(
                AuditEvent(
                    kind=AuditKind.SERVICE_STARTED, at=tomorrow, actor="service", subject="node:node-1"
                )
            )

    asyncio.run(work())


def test_nothing_contradicts_a_clock_that_is_right(workplace: Workplace) -> None:
    assert workplace.document("clock", "show")["doubt"] is None
    assert workplace.lines("clock", "show")[0].endswith(" UTC: nothing contradicts that.")


def test_after_a_day_ahead_nothing_is_minted_until_an_operator_says_what_time_it_is(
    workplace: Workplace,
) -> None:
    minted = workplace.document("lookup", ANNA, "--gateway", "gw")
    put_tomorrow_on_record(workplace)

    assert "is on record" in workplace.document("clock", "show")["doubt"]
    refused = workplace.pushpki("lookup", BERT, "--gateway", "gw")
    assert refused.code == 75
    assert "mint.clock_doubted" in refused.err
    assert workplace.document("lookup", ANNA, "--gateway", "gw")["serial"] == minted["serial"]
    assert [line.partition(":")[0] for line in workplace.pushpki("verify").out.splitlines()] == [
        "clock.on_record"
    ]

    key = workplace.folder / "gateway.pem"
    key.write_bytes(
        generate(KeyAlgorithm.RSA_2048)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    binding = ("certificate", "proxy", "desk@hospital.org", "--org", "hospital", "--public-key", str(key))
    root_key, passphrase = workplace.folder / "root.pem", workplace.folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("seven words that nobody would think of")
    issuing = workplace.document("ca", "list")["issuers"][1]["id"]
    theirs, signed = workplace.folder / "theirs.pem", workplace.folder / "signed.pem"
    friend = Stranger("Friendly Root", not_before=BEGIN, not_after=END)
    other = friend.certify(OTHER, friend.key.public_key(), not_before=BEGIN, not_after=END)
    theirs.write_bytes(other.public_bytes(Encoding.PEM))
    leaving = ("--out", str(root_key), "--passphrase-file", str(passphrase), "--yes")
    for command in (
        binding,
        ("ca", "crl", "issue"),
        ("ca", "issuing", "create", "--key", "p-256"),
        ("ca", "responder", "renew", issuing),
        ("ca", "cross", "sign", str(theirs), "--permit", "other.example", "--out", str(signed), "--yes"),
        ("ca", "root", "export", *leaving),
    ):
        assert "is on record" in workplace.refusal(*command, code=78)
    assert not root_key.exists()
    assert not signed.exists()

    workplace.document("clock", "accept", "--yes")
    assert len(workplace.document(*binding)["published"]) == 1

    assert workplace.document("clock", "show")["doubt"] is None
    assert workplace.document("lookup", BERT, "--gateway", "gw")["origin"] == "minted"
    assert workplace.document("verify") == {"violations": []}


def test_it_asks_before_it_believes(workplace: Workplace) -> None:
    assert "Is this machine's clock right?" in workplace.refusal("clock", "accept", code=78)
