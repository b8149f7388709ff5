"""How is a certificate minted so that its key cannot be lost? The mint: one durable transaction, once.

Everything one mint causes is an enrolment: certificate, held key, password, key mail, relay. All of it is
committed together before any byte of the answer leaves; whatever follows is a job that survives a crash.
"""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from ca.address import Mailbox
from ca.errors import LintFailed, ProfileRefused, SignerUnavailable
from ca.escrow import may_sign
from ca.issuance import LintedCertificate
from ca.keys import KeyAlgorithm, PrivateKey
from ca.sealing import Sealer
from directory.audit import AuditEvent, AuditKind, partition_detail
from directory.callers import Gateway
from directory.certificatemaker import CertificateMaker, CertificateMakers
from directory.clock import Clock
from directory.enrolmentsecrets import EnrolmentSecrets, seal
from directory.errors import IssuerEnded, KeyBlocked, KeyRepeated, LimitReached, SlotTaken
from directory.limits import Limit, MintRates, UsedUpLimits
from directory.lookup import Absent, Answer, Deferred, Found, Minted, PublishedCertificate
from directory.mint_ports import (
    EnrolmentRecord,
    FreshEnrolment,
    KeySource,
    MailClaim,
    MintStore,
    MintTransaction,
    Postman,
    Renewed,
    Reservation,
)
from directory.organization import Organization
from directory.policy import MintContext, Refusal
from directory.separation import shares_channel
from directory.steps import Step, StepListener, ignore_step
from directory.timekeeping import Doubt, never_doubted

logger = logging.getLogger(__name__)

_KEY_SHARE = 0.8
"""The part of a gateway's patience that may be spent on waiting for a key; the rest is the mint's."""

_KEYS_TRIED = 3
"""How many keys a mint may be given that must not be certified, before the generator is not to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintRules:
    """The operator's numbers for the mint."""

    rates: MintRates
    patience: timedelta
    """How long a gateway is kept waiting before it is told to come back."""
    delivery_lifetime: timedelta
    """How long the key mail is tried."""
    retry_after: timedelta
    """When a gateway that was told to come back should."""


class _Ready:
    """A certificate that lacks nothing but its signature.

    It is signed once, even where the transaction has to be begun again on another connection. That one may
    end otherwise: so it is remembered that the key may be in a certificate that the database does not know.
    """

    def __init__(self, maker: CertificateMaker, linted: LintedCertificate, mailbox: Mailbox) -> None:
        self.maker = maker
        self.linted = linted
        self.signing_began = False
        self._mailbox = mailbox
        self._signed: PublishedCertificate | None = None

    def signed(self) -> PublishedCertificate:
        """Return it with its signature."""
        if self._signed is None:
            self.signing_began = True
            self._signed = self.maker.sign(self.linted, self._mailbox)
        return self._signed


class Enroller:
    """Mints: at most one live certificate, key, password and key mail per address, whatever races."""

    def __init__(
        self,
        *,
        store: MintStore,
        keys: KeySource,
        makers: CertificateMakers,
        sealer: Sealer,
        postman: Postman,
        rules: MintRules,
        clock: Clock,
        doubt: Doubt = never_doubted,
        on_step: StepListener = ignore_step,
        actor: str | None = None,
        under_way: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._store = store
        self._keys = keys
        self._makers = makers
        self._sealer = sealer
        self._postman = postman
        self._rules = rules
        self._clock = clock
        self._doubt = doubt
        self._on_step = on_step
        self._actor = actor
        self._while_minting = under_way
        self._under_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._used_up = UsedUpLimits()
        # Keys that were taken for nothing: never certified, never recorded, so the next mint may have them.
        self._unused_keys: defaultdict[KeyAlgorithm, list[PrivateKey]] = defaultdict(list)

    async def mint(self, mailbox: Mailbox, context: MintContext) -> Answer:
        """Mint a certificate for the address, or join the mint that is under way for it.

        The mint is a task of its own: a caller that goes away, or runs out of patience, does not stop it.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if self._doubt() is not None:  # what the clock shows would be in the certificate
            return Deferred(refusal=Refusal.CLOCK_DOUBTED, retry_after=self._rules.retry_after)
        slot = (context.organization.scope, mailbox.key)
        try:
            async with asyncio.timeout(self._rules.patience.total_seconds()):
                while True:
                    joined = self._under_way.get(slot)
                    if joined is None:
                        return await asyncio.shield(self._start(slot, mailbox, context))
                    match await asyncio.shield(joined):
                        case Minted(certificate=certificate):
                            # Somebody else's mint: the certificate is the same, the enrolment is theirs.
                            return Found(certificate=certificate)
                        case Found() as found:
                            return found
                        case Absent() | Deferred():
                            # That was between the other caller and his limits; try on our own account.
                            continue
        except TimeoutError:
            return Deferred(refusal=Refusal.TOO_SLOW, retry_after=self._rules.retry_after)

    async def renew(
        self, mailbox: Mailbox, context: MintContext, renewed: Renewed, limits: tuple[Limit, ...] = ()
    ) -> Answer:
        """Mint the certificate that is to succeed another of the address.

        Nobody waits for it, so none of the gateway's limits is charged, but those given. What was found
        instead, if it is not minted, is the certificate that leads.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if self._doubt() is not None:
            return Deferred(refusal=Refusal.CLOCK_DOUBTED, retry_after=self._rules.retry_after)
        now = self._clock.now()
        reservation = replace(self._reservation(mailbox, context, now), limits=limits, renews=renewed)
        return await self._mint(reservation, context)

    async def settle(self) -> None:
        """Wait until every mint under way has ended, as on an orderly stop."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _start(self, slot: tuple[str, str], mailbox: Mailbox, context: MintContext) -> asyncio.Task[Answer]:
        reservation = self._reservation(mailbox, context, self._clock.now())
        task = asyncio.create_task(self._mint(reservation, context), name="mint")
        self._under_way[slot] = task
        task.add_done_callback(lambda done: self._ended(slot, done))
        return task

    def _ended(self, slot: tuple[str, str], task: asyncio.Task[Answer]) -> None:
        del self._under_way[slot]
        if not task.cancelled() and (error := task.exception()) is not None:
            # Whoever waited has it as well; nobody may have waited.
            logger.warning("a mint failed and left nothing behind: %s", type(error).__name__)

    async def _mint(self, reservation: Reservation, context: MintContext) -> Answer:
        try:
            return await self._mint_signed(reservation, context)
        except SignerUnavailable:
            # Nothing is stored. Nobody will see what the token may yet sign, and its key is not used again.
            return Deferred(refusal=Refusal.SIGNER_UNAVAILABLE, retry_after=self._rules.retry_after)

    async def _mint_signed(self, reservation: Reservation, context: MintContext) -> Answer:
        now, mailbox = reservation.minted_at, reservation.mailbox

        # 1. Whoever certifies, and he does to the end of this mint, though another one should become active
        #    meanwhile; then a key pair from the pool. Whoever is known to be beyond his limits gets none:
        #    others would have to wait for theirs.
        maker = self._makers.maker(context.organization, now)
        if maker is None:
            return self._no_issuer()
        if not maker.permits(mailbox):
            return Absent(refusal=Refusal.NOT_CERTIFIABLE)
        # Nor does anybody get a key while the token is away that would have to sign.
        maker.issuer.require_signer()
        try:
            self._used_up.check(reservation.limits, now)
        except LimitReached as error:
            return _limit_reached(error)
        for _ in range(_KEYS_TRIED):
            key = await self._next_key(maker.profile.key_algorithm)
            if key is None:
                break
            try:
                with self._while_minting():
                    return await self._mint_with(key, maker, reservation, context)
            except (KeyBlocked, KeyRepeated) as error:
                # Nothing is stored, and the key is forgotten: the gateway has no part in it.
                logger.error("a key from the pool is not used: %s", error)  # noqa: TRY400 - no fault of a line
        return Deferred(refusal=Refusal.NO_KEY_READY, retry_after=self._rules.retry_after)

    async def _mint_with(
        self, key: PrivateKey, maker: CertificateMaker, reservation: Reservation, context: MintContext
    ) -> Answer:
        mailbox, now, organization = reservation.mailbox, reservation.minted_at, context.organization
        unused_keys = self._unused_keys[maker.profile.key_algorithm]

        # 2. Everything about the certificate but the signature, linted; the secrets, sealed to this enrolment
        #    and organization.
        linted = await self._linted(maker, mailbox, key, now)
        if not isinstance(linted, LintedCertificate):
            unused_keys.append(key)
            return linted
        sealed = seal(self._sealer, reservation.enrolment_id, organization, key)
        ready = _Ready(maker, linted, mailbox)

        try:
            with self._postman.room(now) as claim:
                issuance = self._issuance(reservation, ready, sealed, claim, context)
                enrolment = await self._store.mint(issuance)

                # 5. Durable. Only now may the certificate be seen; the key mail is on its way.
                self._on_step(Step.MINT_AFTER_COMMIT)
                self._postman.enrolled(
                    FreshEnrolment(record=enrolment, organization=organization, chain=maker.chain)
                )
        except (SlotTaken, IssuerEnded, LimitReached) as error:
            if not ready.signing_began:
                unused_keys.append(key)
            return await self._instead(error, reservation, context.gateway)
        return Minted(certificate=enrolment.certificate, enrolment_id=reservation.enrolment_id)

    async def _instead(
        self, error: SlotTaken | IssuerEnded | LimitReached, reservation: Reservation, gateway: Gateway
    ) -> Answer:
        match error:
            case SlotTaken():
                return await self._winner(reservation.mailbox, gateway)
            case IssuerEnded():
                # Revoked a moment ago; the makers will have heard of it when the gateway asks again.
                return self._no_issuer()
            case LimitReached():
                self._used_up.remember(reservation.limits, error, reservation.minted_at)
                return _limit_reached(error)

    async def _linted(
        self, maker: CertificateMaker, mailbox: Mailbox, key: PrivateKey, now: datetime
    ) -> LintedCertificate | Absent | Deferred:
        try:
            return await asyncio.to_thread(maker.prepare, mailbox, key.public_key(), now)
        except LintFailed as error:
            logger.warning("an address was refused by the linter: %s", ", ".join(error.findings))
            return Absent(refusal=Refusal.NOT_CERTIFIABLE)
        except ProfileRefused as error:
            logger.error("issuer %s cannot certify recipients: %s", maker.issuer_id, error)  # noqa: TRY400 - it says all
            return self._no_issuer()

    def _issuance(
        self,
        reservation: Reservation,
        ready: _Ready,
        sealed: EnrolmentSecrets,
        claim: MailClaim | None,
        context: MintContext,
    ) -> Callable[[MintTransaction], EnrolmentRecord]:
        """Return what happens in the one transaction."""

        def issue(transaction: MintTransaction) -> EnrolmentRecord:
            # 3. The slot comes before the signature, and so does the look whether the key is fresh: who does
            #    not get the one or has not the other has signed nothing, so no certificate exists that the
            #    database does not know. The issuer comes first: who waits for it keeps nobody waiting.
            transaction.hold_issuer(ready.maker.issuer_id)
            transaction.reserve(reservation)
            transaction.admit(sealed.key_sha256)
            self._on_step(Step.MINT_RESERVED)

            # 4. Sign, and record all that follows from it.
            enrolment = self._record(
                reservation,
                ready,
                transaction.aside(ready.signed),
                sealed=sealed,
                claim=claim,
                context=context,
            )
            transaction.record(enrolment)
            self._on_step(Step.MINT_BEFORE_COMMIT)
            return enrolment

        return issue

    def _record(
        self,
        reservation: Reservation,
        ready: _Ready,
        certificate: PublishedCertificate,
        *,
        sealed: EnrolmentSecrets,
        claim: MailClaim | None,
        context: MintContext,
    ) -> EnrolmentRecord:
        organization, renews = context.organization, reservation.renews
        letters = organization.correspondence
        return EnrolmentRecord(
            reservation=reservation,
            certificate=certificate,
            key_sha256=sealed.key_sha256,
            issuer_id=ready.maker.issuer_id,
            crl_partition=ready.linted.prepared.crl_partition,
            sealed_key=sealed.key,
            key_fate=organization.hold_policy.fate(
                may_sign=may_sign(x509.Extensions(ready.linted.prepared.extensions))
            ),
            sealed_password=sealed.password,
            package_format=(
                renews.package_format if renews else organization.package_format_for(reservation.mailbox)
            ),
            language=context.language or letters.language,
            relay_expires_at=reservation.minted_at + letters.relay_lifetime,
            mail_id=secrets.token_hex(16),
            message_id=f"<{reservation.enrolment_id}.key@{organization.mail_from.domain}>",
            bounce_token=secrets.token_hex(16),
            sender_domain=organization.mail_from.domain,
            password_mail_to=_password_mail_to(organization, reservation.mailbox),
            tells_webhook=letters.webhook is not None,
            give_up_at=reservation.minted_at + self._rules.delivery_lifetime,
            claim=claim,
            event=self._minted_event(reservation, ready, certificate, context.gateway),
        )

    def _minted_event(
        self,
        reservation: Reservation,
        ready: _Ready,
        certificate: PublishedCertificate,
        gateway: Gateway,
    ) -> AuditEvent:
        if reservation.renews is None:
            asked_as = f"gateway:{gateway.name}"
            actor, why = asked_as, {"asked_as": asked_as}
        else:
            actor, why = "service", {"renews": reservation.renews.enrolment_id}
        return AuditEvent(
            kind=AuditKind.CERTIFICATE_MINTED,
            at=reservation.minted_at,
            actor=self._actor or actor,
            subject=reservation.enrolment_id,
            organization_id=reservation.organization_id,
            detail={
                "serial": f"{certificate.serial:x}",
                "issuer": ready.maker.issuer_id,
                "not_after": certificate.not_after.isoformat(),
                **why,
                **partition_detail(ready.linted.prepared.crl_partition),
            },
        )

    def _reservation(self, mailbox: Mailbox, context: MintContext, now: datetime) -> Reservation:
        gateway, organization = context.gateway, context.organization
        return Reservation(
            enrolment_id=secrets.token_hex(16),
            organization_id=organization.organization_id,
            gateway_id=gateway.gateway_id,
            scope=organization.scope,
            mailbox=mailbox,
            minted_at=now,
            limits=self._rules.rates.limits_for(
                gateway_id=gateway.gateway_id,
                organization_id=organization.organization_id,
                mailbox=mailbox,
            ),
        )

    async def _next_key(self, algorithm: KeyAlgorithm) -> PrivateKey | None:
        if unused := self._unused_keys[algorithm]:
            return unused.pop()
        future = self._keys.take(algorithm)
        try:
            async with asyncio.timeout(self._rules.patience.total_seconds() * _KEY_SHARE):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            return None

    def _no_issuer(self) -> Deferred:
        return Deferred(refusal=Refusal.NO_ISSUER, retry_after=self._rules.retry_after)

    async def _winner(self, mailbox: Mailbox, gateway: Gateway) -> Answer:
        certificate = await self._store.best_certificate(mailbox.key, gateway, self._clock.now())
        if certificate is None:
            # Revoked or expired between the two transactions: the next question finds the truth.
            return Deferred(refusal=Refusal.TOO_SLOW, retry_after=self._rules.retry_after)
        return Found(certificate=certificate)


def _password_mail_to(organization: Organization, recipient: Mailbox) -> Mailbox | None:
    """Return where the password is sent, if it may be: never where the recipient's mail is read."""
    password_mail = organization.correspondence.password_mail
    if password_mail is None or shares_channel(recipient, password_mail.mailbox.domain):
        return None
    return password_mail.mailbox


def _limit_reached(error: LimitReached) -> Deferred:
    return Deferred(refusal=Refusal.LIMIT_REACHED, retry_after=error.retry_after)
