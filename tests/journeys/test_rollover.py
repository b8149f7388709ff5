"""A succession of issuing CAs, and the loss of one, under a service that runs."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.gateways import look_up
from tests.postbox import Postbox, postbox
from tests.service import Installed, Running, install, serving, succeed

QUICK = {"PUSHPKI_CA__KEY_ALGORITHM": "rsa-2048", "PUSHPKI_CA__KEY_POOL_SIZE": "2"}
PATIENCE_SECONDS = 120
"""Seconds are promised; a loaded machine may take its time."""


@pytest.fixture(scope="module")
def mail() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
def installed(tmp_path: Path, mail: Postbox) -> Installed:
    return install(tmp_path / "pushpki", smtp=mail.smtp)


def issuer_of(running: Running, address: str) -> str | None:
    """Ask for an address; return who certified what is answered, if anything is."""
    found = look_up(running, address)
    if not found:
        return None
    certificate = x509.load_der_x509_certificate(found[0])
    authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier is not None
    return authority.key_identifier.hex()


def somebody() -> str:
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def wait_until_minted_by(running: Running, issuer: str, address: str | None = None) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while issuer_of(running, address or somebody()) != issuer:
        assert time.monotonic() < until


def test_issuing_cas_succeed_one_another_and_are_given_up_without_a_restart(installed: Installed) -> None:
    config = ("--config", str(installed.config))
    with serving(installed, variables=QUICK) as running:
        known = somebody()
        old = issuer_of(running, known)
        assert old is not None

        new = succeed("ca", "issuing", "create", "--key", "p-256", "--activate", *config)["id"]
        wait_until_minted_by(running, new)
        assert issuer_of(running, known) == old, "what it certified is still served"

        succeed("ca", "issuing", "revoke", old, "--yes", *config)
        wait_until_minted_by(running, new, known)

        succeed("ca", "issuing", "revoke", new, "--yes", *config)
        until = time.monotonic() + PATIENCE_SECONDS
        while issuer_of(running, somebody()) is not None:
            assert time.monotonic() < until
    succeed("ca", "crl", "issue", *config)
    assert succeed("verify", *config) == {"violations": []}
