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
from ca.keys import to_pkcs8
from ca.linting import Linter
from ca.ocsp import OcspResponder
from ca.pkcs11 import TokenKey
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.publication import Publication
from ca.sealing import Sealer
from directory.changes import ChangeFollower
from directory.errors import ConfigurationRefused
from directory.ocsp import NeverIssuedPolicy, NoncePolicy, OcspDesk, OcspRules
from directory.ocsp_memory import OcspMemory
from directory.ocsp_responders import (
    OcspResponders,
    ResponderKey,
    ResponderStanding,
    StoredResponder,
    ocsp_key_identity,
)
from directory.rounds import end_within
from directory.settings import Settings
from directory.store.ocsp import SqlOcspReader, SqlResponders
from directory.timekeeping import Doubt, never_doubted
from directory.wiring.installation import Installation
from directory.wiring.signers import Signers

_LEFT_WHEN_RENEWED = 1 / 3
_LABEL = "OCSP responder"
_PATIENCE_AT_STOP = timedelta(seconds=5)
"""How long a key is waited for that is being made in a token: what comes of it is destroyed there later."""


class KeptResponders:
    """Certifies responders with issuers' keys; those that are sealed are open for that moment only."""

    def __init__(
        self,
        signers: Signers,
        sealer: Sealer,
        publication: Publication,
        profile: Profile,
        *,
        where: ResponderKey = ResponderKey.SOFTWARE,
    ) -> None:
        self._signers = signers
        self._sealer = sealer
        self._publication = publication
        self._profile = profile
        self._where = where

    def place(self, standing: ResponderStanding) -> TokenKey | None:
        """Return where in the token the next key for this issuer is to be; None if it is to be sealed.

        Raises:
            KeyRefused: the issuer's key is not here, or no token is.
            SealBroken: it does not open.
            SignerUnavailable: it is known that the token is away.
        """
        if self._where is ResponderKey.SOFTWARE:
            return None
        self._signers.of_issuer(standing).require_available()
        return self._signers.free_place()

    def certify(
        self, standing: ResponderStanding, *, number: int, now: datetime, place: TokenKey | None = None
    ) -> StoredResponder:
        """Make a key, at this place in the token or sealed, and certify it for this issuer.

        Raises:
            KeyRefused: the issuer's key is not here, or not its certificate's.
            SealBroken: it does not open.
            SignerUnavailable: the token makes no key, or does not sign.
            ProfileRefused, LintFailed: the issuer may not certify a responder now.
        """
        issuer = Issuer(
            x509.load_der_x509_certificate(standing.certificate),
            self._signers.of_issuer(standing),
            self._publication,
            self._linter,
        )
        made = self._signers.make_key_at(place, self._profile.key_algorithm, _LABEL)
        public_key, key = made.signer.public_key, made.kept
        prepared = issuer.prepare_ocsp_responder(self._profile, public_key, now)
        certificate = issuer.sign(issuer.lint(prepared))
        key_id = x509.SubjectKeyIdentifier.from_public_key(public_key).digest.hex()
        sealed = None if isinstance(key, TokenKey) else to_pkcs8(key)
        return StoredResponder(
            responder_id=key_id,
            issuer_id=standing.issuer_id,
            number=number,
            certificate=certificate.public_bytes(Encoding.DER),
            serial_number=certificate.serial_number,
            not_after=certificate.not_valid_after_utc,
            sealed_key=None if sealed is None else self._sealer.seal(sealed, ocsp_key_identity(key_id)),
            token_key=place,
        )

    def open(self, standing: ResponderStanding, responder: StoredResponder) -> OcspResponder:
        """Open the responder's key.

        Raises:
            KeyRefused, ProfileRefused: it has been erased, is in another token, or is not what it should be.
            SealBroken: it does not open.
        """
        opened = OcspResponder(
            x509.load_der_x509_certificate(responder.certificate),
            x509.load_der_x509_certificate(standing.certificate),
            self._signers.of_responder(responder),
        )
        self._signers.look_for_key_of(responder)
        return opened

    def misses(self, responder: StoredResponder) -> bool:
        """Tell whether its key is missing from a token that is in order, as last known."""
        return self._signers.misses_key_of(responder)

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
    """Return what has the responders at hand.

    Raises:
        ConfigurationRefused: their keys are to be in a token, and there is none.
    """
    settings = installation.settings
    where = ResponderKey(settings.ca.ocsp_responder_key)
    if where is ResponderKey.TOKEN and installation.token is None:
        raise ConfigurationRefused(
            key="ca.ocsp_responder_key",
            reason="no token is configured",
            remedy="set module, label and pin_file of [pkcs11]",
        )
    profile = responder_profile(settings)
    return OcspResponders(
        store=SqlResponders(installation.database, node=installation.node),
        workshop=KeptResponders(
            installation.signers,
            installation.sealer,
            Publication(settings.ca.public_url),
            profile,
            where=where,
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

    Sealed keys are made before it begins, so that the first request is answered. Nobody waits for one that is
    made in a token: askers are told to come back until it is there.

    Raises:
        ConfigurationRefused: responders' keys are to be in a token, and there is none.
        StoreUnavailable: the database does not answer.
    """
    memory = OcspMemory(most=installation.settings.ca.ocsp_remembered, is_current=follower.is_current)
    follower.keep_true(memory)
    responders = ocsp_responders(installation, doubt)
    if ResponderKey(installation.settings.ca.ocsp_responder_key) is ResponderKey.TOKEN:
        await responders.take_up()
    else:
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
        await end_within(_PATIENCE_AT_STOP, task)
