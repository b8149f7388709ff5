"""How does the service come by another issuing CA? Its key is made here; its root is here, or elsewhere.

Where the root's key is here it certifies at once. Elsewhere a request is taken to it, and what it has signed
is brought back: by our root, off line, or by somebody else's CA, whose certificates then come in as well.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.carequests import read_ca_request, request_issuing
from ca.constraints import mail_names, name_constraints_of
from ca.errors import KeyRefused, TokenKeyMissing
from ca.hierarchy import AuthorityName, create_issuing
from ca.issuerimport import Import, ImportFlaw, chain_above, fingerprint, read_certificates, refused
from ca.keys import KeyAlgorithm, algorithm_of, same_key
from ca.pkcs11 import TokenKey
from ca.profiles import Profile, ProfileConfig, Purpose
from ca.sealing import SealedSecret
from ca.signers import MadeKey
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.errors import AlreadyExists, ConfigurationRefused, Unknown
from directory.hierarchy import Hierarchy, StoredIssuer, issuer_id_of
from directory.issuernames import name_for, next_name
from directory.issuers import find_issuer
from directory.issuing_ports import IssuerKeys, IssuingStore, PendingIssuer, Wish
from directory.withdrawal import too_late

_DAY: Final = timedelta(days=1)


class IssuingDesk:
    """An operator who adds issuing CAs."""

    def __init__(self, *, store: IssuingStore, keys: IssuerKeys, clock: Clock, actor: str) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._actor = actor

    async def create(self, wish: Wish) -> StoredIssuer:
        """Make an issuing CA under a root whose key is here; it certifies when it is made active.

        Raises:
            ConfigurationRefused: no such root is here.
            CaError: its key does not open, or the certificate would break a rule.
        """
        now = self._clock.now()
        hierarchy = await self._store.hierarchy()
        root = root_at_hand(hierarchy, wish.root_id, now)
        name = await self._name(hierarchy, wish, now)
        certificate, key = await asyncio.to_thread(self._certify, root, wish, name, now)
        issuer = self._issuer(certificate, key, root)
        if wish.organization is not None:
            issuer = replace(issuer, organization_id=wish.organization.organization_id)
        await self._store.add(issuer, *self._events_of(issuer, key, wish, root))
        return issuer

    async def hierarchy(self) -> Hierarchy:
        """Return every issuer."""
        return await self._store.hierarchy()

    async def succeed(self, former: StoredIssuer, active_from: datetime) -> StoredIssuer | None:
        """Make the issuing CA that follows another one, under the same root and of the same kind.

        None if somebody else has made one meanwhile.

        Raises:
            ConfigurationRefused: the root's key is not here.
            CaError: its key does not open, or the certificate would break a rule.
        """
        now = self._clock.now()
        hierarchy = await self._store.hierarchy()
        certificate = x509.load_der_x509_certificate(former.certificate)
        constraints = name_constraints_of(certificate)
        wish = Wish(
            common_name=next_name(hierarchy, certificate, now),
            key_algorithm=algorithm_of(certificate.public_key()),
            permitted_domains=frozenset(mail_names(constraints.permitted_subtrees) if constraints else ()),
            root_id=former.parent_id,
            in_token=former.token_key is not None,
        )
        root, name = root_at_hand(hierarchy, wish.root_id, now), await self._name(hierarchy, wish, now)
        made, key = await asyncio.to_thread(self._certify, root, wish, name, now)
        issuer = replace(
            self._issuer(made, key, root), organization_id=former.organization_id, active_from=active_from
        )
        events = self._events_of(issuer, key, wish, root)
        return issuer if await self._store.succeed(issuer, former, events) else None

    async def request(self, wish: Wish) -> PendingIssuer:
        """Make a key, and a request for its certificate to be taken elsewhere.

        Raises:
            CaError: there is no token, or it makes no key or does not sign.
        """
        now = self._clock.now()
        name = await self._name(await self._store.hierarchy(), wish, now)
        made, request = await asyncio.to_thread(self._request, wish, name)
        key = made.kept
        issuer_id = x509.SubjectKeyIdentifier.from_public_key(made.signer.public_key).digest.hex()
        pending = PendingIssuer(
            issuer_id=issuer_id,
            subject=request.subject.rfc4514_string(),
            request=request.public_bytes(Encoding.DER),
            sealed_key=None if isinstance(key, TokenKey) else self._keys.seal(key, issuer_id),
            token_key=key if isinstance(key, TokenKey) else None,
            organization_id=wish.organization.organization_id if wish.organization else None,
            created_at=now,
        )
        key_made = self._event(
            AuditKind.ISSUER_KEY_MADE, issuer_id, algorithm=wish.key_algorithm.value, **made.place
        )
        requested = self._event(AuditKind.ISSUER_REQUESTED, issuer_id, name=pending.subject)
        await self._store.request(pending, key_made, requested)
        return pending

    def _request(self, wish: Wish, name: AuthorityName) -> tuple[MadeKey, x509.CertificateSigningRequest]:
        made = self._keys.make(wish.key_algorithm, name.common_name, in_token=wish.in_token)
        return made, request_issuing(made.signer, name)

    async def complete(
        self, certificate_file: bytes, chain_files: Sequence[bytes], trusted: Collection[bytes]
    ) -> StoredIssuer:
        """Take in what was signed elsewhere; the CAs above it that are not here come in without keys.

        `trusted` are the SHA-256 of roots beside those that are here. The key has to sign a trial before.

        Raises:
            IssuerRefused: the certificate, or one above it, cannot be used; with a code of `ImportFlaw`.
            KeyRefused: the key of its request is lost, or in another token.
            SignerUnavailable: its token is away.
            SigningRefused: another key signs in its place.
            AlreadyExists: it is here already.
            ConfigurationRefused: the request was withdrawn meanwhile, or completed by somebody else.
        """
        now = self._clock.now()
        hierarchy = await self._store.hierarchy()
        certificate, *brought = read_certificates(certificate_file)
        brought += [one for file in chain_files for one in read_certificates(file)]
        pending = _waiting_for(certificate, await self._store.pending(), hierarchy)
        here = {one.issuer_id: x509.load_der_x509_certificate(one.certificate) for one in hierarchy.issuers}
        roots = [here[one.issuer_id] for one in hierarchy.issuers if one.purpose is Purpose.ROOT_CA]
        chain = chain_above(
            Import(
                certificate=certificate,
                key=read_ca_request(pending.request).public_key,
                others=[*here.values(), *brought],
                trusted={*map(fingerprint, roots), *trusted},
            ),
            now,
        )
        _refuse_a_name_of_others([certificate, *(one for one in chain if one not in here.values())], here)
        issuers = _foreigners(chain, here, now)
        issuer = StoredIssuer.of(
            certificate,
            parent_id=issuer_id_of(chain[0]),
            purpose=Purpose.ISSUING_CA,
            created_at=now,
            sealed_key=self._sealed_for(certificate, pending),
            token_key=pending.token_key,
            organization_id=pending.organization_id,
        )
        events = [
            self._event(AuditKind.ISSUER_IMPORTED, one.issuer_id, name=one.subject) for one in issuers
        ] + [
            self._event(
                AuditKind.ISSUER_CREATED,
                issuer.issuer_id,
                name=issuer.subject,
                certified_by=issuer_id_of(chain[0]),
                **_certificate_of(issuer),
            )
        ]
        await asyncio.to_thread(self._try, issuer, pending)
        try:
            await self._store.complete(pending.issuer_id, [*issuers, issuer], events)
        except Unknown as error:
            raise too_late("CERTIFICATE", pending) from error
        return issuer

    def _try(self, issuer: StoredIssuer, pending: PendingIssuer) -> None:
        try:
            self._keys.try_key(issuer)
        except TokenKeyMissing as error:
            raise KeyRefused(
                f"the key of request {pending.issuer_id} is lost: {error}; make another request"
            ) from error

    def _sealed_for(self, certificate: x509.Certificate, pending: PendingIssuer) -> SealedSecret | None:
        """Seal the key that waited for the certificate to its issuer; None if it is in a token."""
        if pending.sealed_key is None:
            return None
        key = self._keys.unseal(pending.sealed_key, pending.issuer_id)
        return self._keys.seal(key, issuer_id_of(certificate))

    def _certify(
        self, root: StoredIssuer, wish: Wish, name: AuthorityName, now: datetime
    ) -> tuple[x509.Certificate, MadeKey]:
        profile = issuing_profile(wish.key_algorithm, wish.permitted_domains, root.not_after, now)
        opened = self._keys.open(root)  # before a key is made for nothing
        key = self._keys.make(wish.key_algorithm, name.common_name, in_token=wish.in_token)
        return create_issuing(opened, profile, name, key.signer.public_key, now), key

    async def _name(self, hierarchy: Hierarchy, wish: Wish, now: datetime) -> AuthorityName:
        waiting = [one.subject for one in await self._store.pending()]
        return name_for(wish, hierarchy, {*waiting, *(one.subject for one in hierarchy.issuers)}, now)

    def _issuer(self, certificate: x509.Certificate, key: MadeKey, root: StoredIssuer) -> StoredIssuer:
        kept = key.kept
        return StoredIssuer.of(
            certificate,
            parent_id=root.issuer_id,
            purpose=Purpose.ISSUING_CA,
            created_at=self._clock.now(),
            sealed_key=(
                None if isinstance(kept, TokenKey) else self._keys.seal(kept, issuer_id_of(certificate))
            ),
            token_key=kept if isinstance(kept, TokenKey) else None,
        )

    def _events_of(
        self, issuer: StoredIssuer, key: MadeKey, wish: Wish, root: StoredIssuer
    ) -> Sequence[AuditEvent]:
        return (
            self._event(
                AuditKind.ISSUER_KEY_MADE, issuer.issuer_id, algorithm=wish.key_algorithm.value, **key.place
            ),
            self._event(
                AuditKind.ISSUER_CREATED,
                issuer.issuer_id,
                name=issuer.subject,
                certified_by=root.issuer_id,
                **_certificate_of(issuer),
            ),
        )

    def _event(self, kind: AuditKind, issuer_id: str, **detail: str) -> AuditEvent:
        return AuditEvent(
            kind=kind, at=self._clock.now(), actor=self._actor, subject=issuer_id, detail=detail
        )


def _certificate_of(issuer: StoredIssuer) -> Mapping[str, str]:
    """Return for the log what its certificate could be revoked by if the database were lost."""
    return {"serial": f"{issuer.serial:x}", "not_after": issuer.not_after.isoformat()}


def issuing_profile(
    key_algorithm: KeyAlgorithm, permitted_domains: frozenset[str], root_ends: datetime, now: datetime
) -> Profile:
    """Return the profile of a new issuing CA: it lives as long as is usual, or as its root does.

    Raises:
        ProfileRefused: a domain is none.
    """
    standard = ProfileConfig.standard(Purpose.ISSUING_CA)
    left = timedelta(days=(root_ends - now).days)
    return Profile.from_config(
        replace(
            standard,
            key_algorithm=key_algorithm,
            validity=max(min(standard.validity, left), _DAY),
            permitted_domains=permitted_domains,
        )
    )


def root_at_hand(
    hierarchy: Hierarchy,
    root_id: str | None,
    now: datetime,
    *,
    remedy: str = "make a request with pushpki ca issuing csr, and have it signed where the root is",
) -> StoredIssuer:
    """Return the newest root whose key is here, or the one that is named.

    Raises:
        Unknown: there is none of that name.
        ConfigurationRefused: there is none whose key is here; with what to do instead.
    """
    wanted = hierarchy.issuers if root_id is None else (find_issuer(hierarchy, root_id),)
    roots = [
        one for one in wanted if one.purpose is Purpose.ROOT_CA and one.key_is_here and one.ended(now) is None
    ]
    if not roots:
        raise ConfigurationRefused(key="--root", reason="no valid root whose key is here", remedy=remedy)
    return roots[-1]


def _waiting_for(
    certificate: x509.Certificate, waiting: Sequence[PendingIssuer], hierarchy: Hierarchy
) -> PendingIssuer:
    key = certificate.public_key()
    for pending in waiting:
        request = pending.readable()
        if request is None or not same_key(request.public_key(), key):
            continue
        if not pending.has_key:
            raise KeyRefused(f"the key of request {pending.issuer_id} is lost")
        return pending
    for issuer in hierarchy.issuers:
        if same_key(x509.load_der_x509_certificate(issuer.certificate).public_key(), key):
            raise AlreadyExists(kind="issuer", name=issuer.issuer_id)
    raise refused(ImportFlaw.KEY_MISMATCH, certificate)


def _refuse_a_name_of_others(brought: Sequence[x509.Certificate], here: dict[str, x509.Certificate]) -> None:
    """Return if nobody else has one of the names: by it CRLs and certificates say whose they are."""
    for certificate in brought:
        others = [one for one in (*here.values(), *brought) if one is not certificate]
        if any(one.subject == certificate.subject and not _is_same(one, certificate) for one in others):
            raise refused(ImportFlaw.NAME_TAKEN, certificate)


def _is_same(one: x509.Certificate, other: x509.Certificate) -> bool:
    return same_key(one.public_key(), other.public_key())


def _foreigners(
    chain: Sequence[x509.Certificate], here: dict[str, x509.Certificate], now: datetime
) -> list[StoredIssuer]:
    """Return those of the chain that are not here, the root first."""
    parents = [*(issuer_id_of(one) for one in chain[1:]), None]
    found = [
        StoredIssuer.of(
            certificate,
            parent_id=parent_id,
            purpose=Purpose.ISSUING_CA if parent_id else Purpose.ROOT_CA,
            created_at=now,
            is_foreign=True,
        )
        for certificate, parent_id in zip(chain, parents, strict=True)
        if issuer_id_of(certificate) not in here
    ]
    return found[::-1]
