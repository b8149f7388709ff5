"""What is the answer to one question for one address? The way of a lookup, top to bottom.

Knows nothing of LDAP, HTTP or SQL: front ends ask it, ports answer it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final, Protocol

from ca.address import Addressee, Mailbox, MailDomain
from directory.callers import Anonymous, Asker, Gateway
from directory.clock import Clock
from directory.policy import MintContext, MintPolicy, Refusal

MOST_CERTIFICATES: Final = 16
"""Of one addressee in one answer."""

_DOMAIN_AUTHORITY: Final = "domain-confidentiality-authority"
"""RFC 3183 section 4.1."""


class Origin(StrEnum):
    """Where a certificate came from."""

    FOUND = "found"  # the recipient's own: imported or discovered
    MINTED = "minted"  # made here because nobody had one


class Intent(Enum):
    """What the question allows."""

    MINT_IF_ABSENT = "mint if absent"  # an exact question for one complete address
    READ_ONLY = "read only"  # browsing, type-ahead: whatever its shape, it never mints


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question for one address."""

    mailbox: Addressee
    """One complete address; or a domain, whose certificates are found but never made."""
    asker: Asker
    intent: Intent = Intent.MINT_IF_ABSENT
    language: str | None = None
    """Which the recipient is to be written to in, should one be minted; None: as his organization writes."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys under which its answer may be stored, the preferred one first.

        A domain without a certificate of its own is answered with the one of its confidentiality authority,
        which the domain's gateway holds (RFC 3183 section 4.2); never with that of a domain above.
        """
        key = self.mailbox.key
        return (key, f"{_DOMAIN_AUTHORITY}@{key}") if isinstance(self.mailbox, MailDomain) else (key,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCertificate:
    """A certificate that may leave the directory."""

    mailbox: Addressee
    der: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    origin: Origin
    stands_until: datetime | None = None
    """When a renewal of one of the address' certificates begins to be served, as far as it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The directory had a certificate."""

    certificate: PublishedCertificate
    """The best one."""
    further: tuple[PublishedCertificate, ...] = ()
    """What else is live, in order of preference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """Nobody had one, so one was made; its key is durably on its way."""

    certificate: PublishedCertificate
    enrolment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """There is none, and none was made, for a reason that will not go away by asking again."""

    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """None could be made just now; asking again after a while may help."""

    refusal: Refusal
    retry_after: timedelta


Answer = Found | Minted | Absent | Deferred


class DirectoryReader(Protocol):
    """What the lookup reads."""

    async def live_certificates(
        self, address_key: str, asker: Asker, now: datetime
    ) -> Sequence[PublishedCertificate]:
        """Return the live certificates the asker may see, the best first: the recipient's own, then minted.

        A renewed certificate is one of them from the moment that its key was proven, or that the one before
        it has only a few days left; then it goes first. Until then the others say when that will be.

        Live: not expired, not revoked, its delivery not bounced. At most `MOST_CERTIFICATES`; none for a
        gateway that has been disabled since it authenticated.
        """
        ...

    async def mint_context(self, address_key: str, gateway: Gateway) -> MintContext | None:
        """Return what the mint policy must know, as stored now; None if the gateway has been disabled."""
        ...


class Minter(Protocol):
    """Makes the certificate that nobody had."""

    async def mint(self, mailbox: Mailbox, context: MintContext) -> Answer:
        """Mint once, whatever races; return when everything is durable."""
        ...


class Lookup:
    """Answers questions: what the directory has, or else, where policy allows, a minted certificate."""

    def __init__(
        self,
        *,
        reader: DirectoryReader,
        policy: MintPolicy,
        minter: Minter,
        clock: Clock,
        patience: timedelta = timedelta(seconds=2),
    ) -> None:
        self._patience = patience
        self._reader = reader
        self._policy = policy
        self._minter = minter
        self._clock = clock

    async def answer(self, question: Question) -> Answer:
        """Answer one question, in two seconds: gateways give up after five, and some clients never.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                return await self._answer(question)
        except TimeoutError:
            return Deferred(refusal=Refusal.TOO_SLOW, retry_after=self._patience)

    async def _answer(self, question: Question) -> Answer:
        mailbox, asker = question.mailbox, question.asker
        if isinstance(asker, Anonymous) and not asker.may_read:
            return Absent(refusal=Refusal.NOT_FOUND)

        # 1. The directory itself.
        found = await self._found(question)
        if found is not None:
            return found

        # 2. Sources elsewhere (the recipient's own LDAP, DNS CERT, SMIMEA) have their place here: after what
        #    we know ourselves, before anything is made.

        # 3. May one be minted? A caller without the right learns nothing but that there is none.
        #    For a domain there is nobody to whom its key could be sent.
        is_reading = question.intent is Intent.READ_ONLY
        if is_reading or isinstance(mailbox, MailDomain) or not isinstance(asker, Gateway):
            return Absent(refusal=Refusal.NOT_FOUND)
        context = await self._reader.mint_context(mailbox.key, asker)
        if context is None or not context.gateway.may_mint:
            return Absent(refusal=Refusal.NOT_FOUND)
        refusal = self._policy.refusal(mailbox, context)
        if refusal is None and context.is_paused(self._clock.now()):
            refusal = Refusal.DOMAIN_PAUSED
        if refusal is not None:
            return Absent(refusal=refusal)

        # 4. Mint: one durable transaction, then the answer.
        return await self._minter.mint(mailbox, replace(context, language=question.language))

    async def _found(self, question: Question) -> Found | None:
        for key in question.keys:
            live = await self._reader.live_certificates(key, question.asker, self._clock.now())
            if live:
                return Found(certificate=live[0], further=tuple(live[1:]))
        return None
