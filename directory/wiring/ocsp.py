"""What answers OCSP requests? Responders that are replaced in time, and a memory that is kept true."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuance import Issuer
from ca.keys import generate, to_pkcs8
from ca.linting import Linter
from ca.ocsp import OcspResponder
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.sealing import Sealer
from directory.changes import ChangeFollower
from directory.ocsp import NeverIssuedPolicy, NoncePolicy, OcspDesk, OcspRules
from directory.ocsp_memory import OcspMemory
from directory.ocsp_responders import (
    OcspResponders,
    ResponderStanding,
    StoredResponder,
    ocsp_key_identity,
)
from directory.settings import Settings
from directory.store.ocsp import SqlOcspReader, SqlResponders
from directory.timekeeping import Doubt, never_doubted
from directory.wiring.installation import Installation
from directory.wiring.signers import Signers

_LEFT_WHEN_RENEWED = 1 / 3


class SealedResponders:
    """Certifies responders with issuers' sealed keys, which are open for that moment only."""

    def __init__(self, signers: Signers, sealer: Sealer, publication: Publication, profile: Profile) -> None:
        self._signers = signers
        self._sealer = sealer
        self._publication = publication
        self._profile = profile

    def certify(self, standing: ResponderStanding, *, number: int, now: datetime) -> StoredResponder:
        """Make a key, and certify it for this issuer.

        Raises:
            KeyRefused: the issuer's key is not here, or not its certificate's.
            SealBroken: it does not open.
            ProfileRefused, LintFailed: the issuer may not certify a responder now.
        """
        issuer = Issuer(
            x509.load_der_x509_certificate(standing.certificate),
            self._signers.of_issuer(standing),
            self._publication,
            self._linter,
        )
        key = generate(self._profile.key_algorithm)
        prepared = issuer.prepare_ocsp_responder(self._profile, key.public_key(), now)
        certificate = issuer.sign(issuer.lint(prepared))
        key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()
        return StoredResponder(
            responder_id=key_id,
            issuer_id=standing.issuer_id,
            number=number,
            certificate=certificate.public_bytes(Encoding.DER),
            serial_number=certificate.serial_number,
            not_after=certificate.not_valid_after_utc,
            sealed_key=self._sealer.seal(to_pkcs8(key), ocsp_key_identity(key_id)),
        )

    def open(self, standing: ResponderStanding, responder: StoredResponder) -> OcspResponder:
        """Open the responder's key.

        Raises:
            KeyRefused, ProfileRefused: it has been erased, or is not what it should be.
            SealBroken: it does not open.
        """
        return OcspResponder(
            x509.load_der_x509_certificate(responder.certificate),
            x509.load_der_x509_certificate(standing.certificate),
            self._signers.of_responder(responder),
        )

    @cached_property
    def _linter(self) -> Linter:
        return Linter()


def responder_profile(settings: Settings) -> Profile:
    """Return the profile of responders' certificates."""
    standard = ProfileConfig.standard(Purpose.OCSP_RESPONDER)
    return Profile.from_config(
        ProfileConfig(
            purpose=standard.purpose,
            key_algorithm=standard.key_algorithm,
            validity=timedelta(days=settings.ca.ocsp_responder_days),
        )
    )


def ocsp_rules(settings: Settings) -> OcspRules:
    """Return the operator's rules."""
    return OcspRules(
        nonce=NoncePolicy(settings.ca.ocsp_nonce),
        never_issued=NeverIssuedPolicy(settings.ca.ocsp_never_issued),
        validity=timedelta(hours=settings.ca.ocsp_validity_hours),
    )


def ocsp_responders(installation: Installation, doubt: Doubt = never_doubted) -> OcspResponders:
    """Return what has the responders at hand."""
    settings = installation.settings
    profile = responder_profile(settings)
    return OcspResponders(
        store=SqlResponders(installation.database, node=installation.node),
        workshop=SealedResponders(
            installation.signers, installation.sealer, Publication(settings.ca.public_url), profile
        ),
        renew_before=profile.validity * _LEFT_WHEN_RENEWED,
        clock=installation.clock,
        uniform=random.SystemRandom().uniform,
        doubt=doubt,
    )


@asynccontextmanager
async def answering_ocsp(
    installation: Installation, follower: ChangeFollower, doubt: Doubt
) -> AsyncIterator[OcspDesk]:
    """Have responders, and what they signed, at hand until the context ends.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    memory = OcspMemory(most=installation.settings.ca.ocsp_remembered, is_current=follower.is_current)
    follower.keep_true(memory)
    responders = ocsp_responders(installation, doubt)
    await responders.refresh()
    task = asyncio.create_task(responders.run(), name="OCSP responders")
    try:
        yield OcspDesk(
            reader=SqlOcspReader(installation.database),
            seats=responders,
            memory=memory,
            rules=ocsp_rules(installation.settings),
            clock=installation.clock,
            doubt=doubt,
        )
    finally:
        responders.stop()
        await task
