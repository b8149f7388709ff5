from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import KeyRefused, SealBroken
from ca.keys import to_pkcs8
from ca.revocation import PreparedCrl
from ca.sealing import SealedSecret
from directory.crls import StandingIssuer
from directory.errors import ConfigurationRefused
from directory.settings import load_settings
from directory.wiring.authorities import CrlIssuers, crl_rhythm
from directory.wiring.signers import Signers, ca_key_identity
from tests.builders import NOW, Authority
from tests.contracts.world import SEALER

DAY = timedelta(days=1)


def a_standing_issuer(authority: Authority, sealed_key: SealedSecret | None) -> StandingIssuer:
    return StandingIssuer(
        issuer_id=authority.root.key_id,
        certificate=authority.root.certificate.public_bytes(Encoding.DER),
        is_root=True,
        sealed_key=sealed_key,
        crls=[],
    )


def test_a_key_is_opened_for_its_own_issuer(authority: Authority) -> None:
    sealed = SEALER.seal(to_pkcs8(authority.root_key), ca_key_identity(authority.root.key_id))

    issuer = CrlIssuers(Signers(SEALER)).open(a_standing_issuer(authority, sealed))

    crl = issuer.issue(PreparedCrl(number=1, this_update=NOW, next_update=NOW + DAY, revoked=()))
    assert crl.is_signature_valid(authority.root_key.public_key())


def test_a_key_of_another_issuer_does_not_open(authority: Authority) -> None:
    sealed = SEALER.seal(to_pkcs8(authority.issuing_key), ca_key_identity(authority.issuer.key_id))

    with pytest.raises(SealBroken):
        CrlIssuers(Signers(SEALER)).open(a_standing_issuer(authority, sealed))


def test_another_key_in_the_right_seal_is_refused(authority: Authority) -> None:
    sealed = SEALER.seal(to_pkcs8(authority.issuing_key), ca_key_identity(authority.root.key_id))

    with pytest.raises(KeyRefused):
        CrlIssuers(Signers(SEALER)).open(a_standing_issuer(authority, sealed))


def test_a_key_that_is_elsewhere_cannot_be_opened(authority: Authority) -> None:
    with pytest.raises(KeyRefused, match="is not here"):
        CrlIssuers(Signers(SEALER)).open(a_standing_issuer(authority, None))


@pytest.mark.parametrize(
    ("text", "interval", "validity"),
    [
        ("", DAY, 7 * DAY),
        ("[ca]\ncrl_hours = 6\ncrl_validity_days = 10\n", DAY / 4, 10 * DAY),
    ],
)
def test_the_rhythm_is_the_operators(
    tmp_path: Path, text: str, interval: timedelta, validity: timedelta
) -> None:
    file = tmp_path / "pushpki.toml"
    file.write_text(text, encoding="utf-8")

    rhythm = crl_rhythm(load_settings(file))

    assert (rhythm.interval, rhythm.validity) == (interval, validity)


@pytest.mark.parametrize("line", ["crl_validity_days = 11", "crl_validity_days = 1", "crl_hours = 25"])
def test_no_rhythm_lets_a_crl_expire_before_its_successor_or_live_too_long(tmp_path: Path, line: str) -> None:
    file = tmp_path / "pushpki.toml"
    file.write_text(f"[ca]\n{line}\n", encoding="utf-8")

    with pytest.raises(ConfigurationRefused, match=r"ca\.crl_"):
        load_settings(file)
