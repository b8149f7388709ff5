"""What the service finds out about its issuing CA before anybody asks."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from ca.issuance import Issuer
from ca.keys import PrivateKey
from ca.linting import Linter
from ca.publication import Publication
from ca.signers import SoftwareSigner
from directory.errors import ConfigurationRefused
from directory.wiring.minting import rehearse
from tests.builders import NOW, Authority, an_authority
from tests.directory.minting import a_maker


def test_an_issuing_ca_that_ends_too_soon_is_only_said(
    linter: Linter, recipient_key: PrivateKey, caplog: pytest.LogCaptureFixture
) -> None:
    maker = a_maker(an_authority(linter, issuing_validity=timedelta(days=30)))

    with caplog.at_level(logging.ERROR):
        rehearse(maker, recipient_key.public_key(), NOW)

    assert f"issuer {maker.issuer_id} certifies nobody: would outlive the issuer" in caplog.text


def test_what_no_certificate_may_say_is_refused(authority: Authority, recipient_key: PrivateKey) -> None:
    private = Issuer(
        authority.issuer.certificate,
        SoftwareSigner(authority.issuing_key),
        Publication("http://pki.hospital.internal"),
        authority.linter,
    )

    with pytest.raises(ConfigurationRefused, match="cannot be certified like this"):
        rehearse(replace(a_maker(authority), issuer=private), recipient_key.public_key(), NOW)
