"""Short or long, in a thread or in a process: the CRL is the same, and whatever goes wrong is said."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from ca.crllinting import CrlLinter
from ca.errors import LintFailed, SigningRefused
from ca.keys import KeyAlgorithm
from ca.linting import Linter
from ca.revocation import CrlIssuer, PreparedCrl, RevocationReason, RevokedCertificate
from ca.signers import SoftwareSigner
from ca.signing import SignatureScheme
from directory import crl_building
from directory.crl_building import ThreadOrProcess
from directory.crls import StandingIssuer
from tests.builders import NOW, Authority, TokenKey, TokenSigner, an_authority

LONGEST = 20
POINT = "http://pki.example.com/crl/0123/7.crl"


@pytest.fixture(scope="module")
def crl_linter() -> CrlLinter:
    return CrlLinter()


@pytest.fixture(scope="module")
def of_p256(linter: Linter) -> Authority:
    return an_authority(linter, key_algorithm=KeyAlgorithm.P_256)


def a_standing_issuer(authority: Authority) -> StandingIssuer:
    return StandingIssuer(
        issuer_id=authority.issuer.key_id,
        certificate=authority.issuer.certificate.public_bytes(Encoding.DER),
        is_root=False,
        sealed_key=None,
        crls=[],
    )


def a_prepared_crl() -> PreparedCrl:
    return PreparedCrl(
        number=7, this_update=NOW, next_update=NOW + timedelta(days=7), revoked=(), distribution_point=POINT
    )


async def pages(entries: int, *, at_once: int = 7) -> AsyncIterator[Sequence[RevokedCertificate]]:
    for first in range(1, entries + 1, at_once):
        yield [
            RevokedCertificate(serial_number=n, revoked_at=NOW, reason=RevocationReason.SUPERSEDED)
            for n in range(first, min(first + at_once, entries + 1))
        ]


def a_builder(
    authority: Authority, linter: CrlLinter, scheme: SignatureScheme = SignatureScheme.PKCS1
) -> ThreadOrProcess:
    issuer = CrlIssuer(
        authority.issuer.certificate, SoftwareSigner(authority.issuing_key), linter, scheme=scheme
    )
    return ThreadOrProcess(lambda _standing: issuer, longest_in_a_thread=LONGEST)


@pytest.mark.parametrize("entries", [0, 1, LONGEST, LONGEST + 1, 50])
async def test_lists_every_entry_of_every_page_whichever_way_it_is_built(
    authority: Authority, crl_linter: CrlLinter, entries: int
) -> None:
    builder = a_builder(authority, crl_linter)

    built = await builder.build(a_standing_issuer(authority), a_prepared_crl(), pages(entries))

    crl = x509.load_der_x509_crl(built.der)
    assert built.entries == entries
    assert {entry.serial_number for entry in crl} == set(range(1, entries + 1))
    assert crl.is_signature_valid(authority.issuing_key.public_key())


async def test_in_a_process_it_says_the_same_octet_for_octet(
    authority: Authority, crl_linter: CrlLinter
) -> None:
    issuer = CrlIssuer(authority.issuer.certificate, SoftwareSigner(authority.issuing_key), crl_linter)
    entries = [one async for page in pages(50) for one in page]
    here = issuer.issue(replace(a_prepared_crl(), revoked=entries))

    there = await a_builder(authority, crl_linter).build(
        a_standing_issuer(authority), a_prepared_crl(), pages(50)
    )

    assert there.der == here.public_bytes(Encoding.DER)


async def test_a_process_signs_as_the_issuer_does(
    authority: Authority, of_p256: Authority, crl_linter: CrlLinter
) -> None:
    for whose, scheme in ((authority, SignatureScheme.PSS), (of_p256, SignatureScheme.PKCS1)):
        builder = a_builder(whose, crl_linter, scheme)

        built = await builder.build(a_standing_issuer(whose), a_prepared_crl(), pages(50))

        crl = x509.load_der_x509_crl(built.der)
        assert crl.is_signature_valid(whose.issuing_key.public_key())
        parameters = crl.signature_algorithm_parameters
        assert (type(parameters).__name__ == "PSS") is (scheme is SignatureScheme.PSS)


async def test_a_token_is_asked_for_one_signature(authority: Authority, crl_linter: CrlLinter) -> None:
    assert isinstance(authority.issuing_key, rsa.RSAPrivateKey)
    token = TokenKey(authority.issuing_key)
    issuer = CrlIssuer(authority.issuer.certificate, TokenSigner(signing_key=token), crl_linter)
    builder = ThreadOrProcess(lambda _standing: issuer, longest_in_a_thread=LONGEST)

    await builder.build(a_standing_issuer(authority), a_prepared_crl(), pages(50))

    assert token.signatures == 1


async def test_what_the_linter_finds_in_a_process_is_told_here(
    authority: Authority, crl_linter: CrlLinter
) -> None:
    too_long = replace(a_prepared_crl(), next_update=NOW + timedelta(days=11))

    with pytest.raises(LintFailed, match=r"cabf\.crl_invalid_validity_period"):
        await a_builder(authority, crl_linter).build(a_standing_issuer(authority), too_long, pages(50))


async def test_a_key_that_fails_when_it_is_asked_ends_it(authority: Authority, crl_linter: CrlLinter) -> None:
    class Lost(CrlIssuer):
        @override
        def unsafe_sign(self, octets: bytes) -> bytes:
            raise SigningRefused("is lost", what="token")

    issuer = Lost(authority.issuer.certificate, SoftwareSigner(authority.issuing_key), crl_linter)
    builder = ThreadOrProcess(lambda _standing: issuer, longest_in_a_thread=LONGEST)

    with pytest.raises(SigningRefused, match="the token is lost"):
        await builder.build(a_standing_issuer(authority), a_prepared_crl(), pages(50))


async def test_a_process_that_dies_is_no_crl(authority: Authority, crl_linter: CrlLinter) -> None:
    not_a_certificate = replace(a_standing_issuer(authority), certificate=b"junk")

    with pytest.raises(SigningRefused, match="the process that builds it has ended"):
        await a_builder(authority, crl_linter).build(not_a_certificate, a_prepared_crl(), pages(50))


async def test_whoever_is_cancelled_leaves_no_process_behind(
    authority: Authority, crl_linter: CrlLinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Process] = []
    start = crl_building._process

    @asynccontextmanager
    async def watched() -> AsyncIterator[Process]:
        async with start() as process:
            started.append(process)
            yield process

    async def endless() -> AsyncIterator[Sequence[RevokedCertificate]]:
        async for page in pages(LONGEST + 1):
            yield page
        reading.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(crl_building, "_process", watched)
    reading = asyncio.Event()
    builder = a_builder(authority, crl_linter)
    building = asyncio.create_task(builder.build(a_standing_issuer(authority), a_prepared_crl(), endless()))
    await reading.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    (process,) = started
    assert process.returncode is not None
