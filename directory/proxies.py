"""For which addresses does a gateway decrypt with a key of its own? Its organization's own ones.

Mail from outside is encrypted to them as to anybody; the organization's gateway opens it with the one key
that all of them, or the whole domain (RFC 3183), are bound to. The private key never was here, so nothing is
mailed to anybody: a request's signature shows that the gateway has it, and of a bare public key the operator
answers for that.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from secrets import token_hex
from typing import Final, Protocol

from ca.address import Mailbox
from ca.issuance import LintedCertificate
from ca.keyrequests import KeyRequest
from ca.keys import PublicKey, algorithm_of, key_hash
from ca.profiles import DOMAIN_AUTHORITY, Profile, Purpose
from directory.audit import AuditEvent, AuditKind, partition_detail
from directory.certificatemaker import CertificateMaker
from directory.clock import Clock
from directory.errors import ConfigurationRefused
from directory.lookup import Origin, PublishedCertificate
from directory.organization import Organization
from directory.policy import is_within

_MOST_ADDRESSES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRecord:
    """A certificate that is about to be signed and published."""

    certificate_id: str
    issuer_id: str
    crl_partition: int | None
    mailbox: Mailbox
    scope: str
    key_sha256: bytes
    sign: Callable[[], PublishedCertificate]
    """Signs once, however often it is called."""
    event: AuditEvent


class ProxyStore(Protocol):
    """Publishes such certificates."""

    async def publish(self, record: ProxyRecord, at: datetime) -> PublishedCertificate | None:
        """Sign, publish and record the event in one transaction; None if the address has this key already.

        Raises:
            KeyBlocked: the key is known to be in wrong hands.
            IssuerEnded: the issuer was revoked.
        """
        ...


class ProxyCertification:
    """An operator who binds addresses of an organization to its gateway's key."""

    def __init__(self, *, store: ProxyStore, maker: CertificateMaker, clock: Clock, actor: str) -> None:
        self._store = store
        self._maker = maker
        self._clock = clock
        self._actor = actor

    async def certify(
        self, organization: Organization, mailboxes: Sequence[Mailbox], public_key: PublicKey
    ) -> Sequence[PublishedCertificate]:
        """Publish a certificate of the key for each address; one that has it already gets no second one.

        All are linted before the first is signed. Each is a transaction of its own: where one fails, those
        before it stay, and the same command goes on behind them.

        Raises:
            ConfigurationRefused: an address is not the organization's own, or there are too many.
            ProfileRefused: the issuer ends too soon for the profile.
            LintFailed: a certificate would break a rule; nothing was signed.
            KeyBlocked: the key is known to be in wrong hands.
            IssuerEnded: the issuer was revoked meanwhile.
        """
        now = self._clock.now()
        _check_addresses(organization, mailboxes)
        linted = [(mailbox, self._prepare(mailbox, public_key, now)) for mailbox in dict.fromkeys(mailboxes)]
        published = [
            await self._store.publish(self._record(organization, mailbox, one, now), now)
            for mailbox, one in linted
        ]
        return [one for one in published if one is not None]

    def _prepare(self, mailbox: Mailbox, public_key: PublicKey, now: datetime) -> LintedCertificate:
        issuer = self._maker.issuer
        profile = _profile(self._maker.profile, mailbox, public_key)
        return issuer.lint(issuer.prepare(profile, mailbox, public_key, now))

    def _record(
        self, organization: Organization, mailbox: Mailbox, linted: LintedCertificate, now: datetime
    ) -> ProxyRecord:
        certificate_id, key_sha256 = token_hex(16), key_hash(linted.prepared.public_key)
        return ProxyRecord(
            certificate_id=certificate_id,
            issuer_id=self._maker.issuer_id,
            crl_partition=linted.prepared.crl_partition,
            mailbox=mailbox,
            scope=organization.scope,
            key_sha256=key_sha256,
            sign=cache(partial(self._maker.sign, linted, mailbox, origin=Origin.FOUND)),
            event=AuditEvent(
                kind=AuditKind.PROXY_CERTIFIED,
                at=now,
                actor=self._actor,
                subject=certificate_id,
                organization_id=organization.organization_id,
                detail={
                    "serial": f"{linted.prepared.serial_number:x}",
                    "issuer": self._maker.issuer_id,
                    "not_after": linted.prepared.not_after.isoformat(),
                    "purpose": linted.prepared.purpose.value,
                    "key": key_sha256.hex(),
                    **partition_detail(linted.prepared.crl_partition),
                },
            ),
        )


def refuse_other_names(request: KeyRequest, mailboxes: Iterable[Mailbox]) -> None:
    """Return if a request names nobody but those who are to be certified, if anybody.

    Raises:
        ConfigurationRefused: it names somebody else; the key is `--csr`.
    """
    expected = {mailbox.key for mailbox in mailboxes}
    others = sorted(str(named) for named in request.mailboxes if named.key not in expected)
    if others:
        raise ConfigurationRefused(
            key="--csr",
            reason=f"the request names {others[0]}, which is not to be certified",
            remedy="give its addresses, or a request without any",
        )


def _check_addresses(organization: Organization, mailboxes: Sequence[Mailbox]) -> None:
    if not 0 < len(mailboxes) <= _MOST_ADDRESSES:
        raise ConfigurationRefused(
            key="ADDRESS", reason=f"{len(mailboxes)} addresses", remedy=f"give 1 to {_MOST_ADDRESSES}"
        )
    for mailbox in mailboxes:
        if not is_within(mailbox.domain, organization.domains):
            raise ConfigurationRefused(
                key="ADDRESS",
                reason=f"{mailbox} is in no domain of {organization.slug}",
                remedy="only an organization's own addresses are bound to its gateway's key",
            )


def _profile(recipients: Profile, mailbox: Mailbox, public_key: PublicKey) -> Profile:
    """The recipients' validity and policy, for encryption, and for whatever key the gateway has."""
    stands_for_domain = mailbox.local_part.lower() == DOMAIN_AUTHORITY
    return replace(
        recipients,
        purpose=Purpose.DOMAIN if stands_for_domain else Purpose.PROXY,
        key_algorithm=algorithm_of(public_key),
    )
