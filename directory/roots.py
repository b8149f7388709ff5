"""How does a root's key go off line? Into a file, out of the database, leaving a CRL that holds for long."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from cryptography import x509

from ca.errors import KeyRefused
from ca.offline import OfflineCa
from ca.profiles import Purpose
from ca.signing import SignatureScheme
from directory.audit import AuditEvent, AuditKind
from directory.clock import Clock
from directory.crl_import import CrlDesk
from directory.crls import StoredCrl
from directory.errors import ConfigurationRefused
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.issuers import find_issuer
from directory.issuing_ports import IssuerKeys

USUAL_CRL: Final = timedelta(days=180)


class RootRegister(Protocol):
    """Keeps the issuers; each change is one durable transaction with its event."""

    async def hierarchy(self) -> Hierarchy:
        """Return all of them."""
        ...

    async def key_exported(self, event: AuditEvent) -> None:
        """Put on record that a key is about to leave."""
        ...

    async def erase_key(self, issuer_id: str, event: AuditEvent) -> None:
        """Erase the sealed key of an issuer.

        Raises:
            Unknown: there is no such issuer whose key is here.
        """
        ...


class Traces(Protocol):
    """Where what was overwritten may still be read."""

    async def erase_traces(self) -> None:
        """Overwrite it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRoot:
    """A root whose key is being taken out."""

    issuer: StoredIssuer
    ca: OfflineCa


class RootDesk:
    """An operator who takes a root off line."""

    def __init__(
        self,
        *,
        register: RootRegister,
        keys: IssuerKeys,
        crls: CrlDesk,
        traces: Traces,
        scheme: SignatureScheme,
        clock: Clock,
        actor: str,
    ) -> None:
        self._register = register
        self._keys = keys
        self._crls = crls
        self._traces = traces
        self._scheme = scheme
        self._clock = clock
        self._actor = actor

    async def root(self, root_id: str | None) -> StoredIssuer:
        """Return the root that is meant; without a name the only one whose key is here.

        Raises:
            Unknown: there is no such issuer.
            ConfigurationRefused: it is no root, its key is not here, or there are several.
        """
        hierarchy = await self._register.hierarchy()
        wanted = hierarchy.issuers if root_id is None else (find_issuer(hierarchy, root_id),)
        roots = [one for one in wanted if one.purpose is Purpose.ROOT_CA and one.sealed_key is not None]
        if len(roots) != 1:
            raise ConfigurationRefused(
                key="--root",
                reason=f"{len(roots)} roots whose key is sealed here",
                remedy="see pushpki ca list",
            )
        return roots[0]

    async def export(self, root: StoredIssuer) -> ExportedRoot:
        """Take a copy of the key out, after that was put on record.

        Raises:
            KeyRefused, SealBroken: the key is not here, or does not open.
        """
        if root.sealed_key is None:
            raise KeyRefused(f"the key of issuer {root.issuer_id} is not here")
        key = self._keys.unseal(root.sealed_key, root.issuer_id)
        certificate = x509.load_der_x509_certificate(root.certificate)
        await self._register.key_exported(self._event(AuditKind.ISSUER_KEY_EXPORTED, root))
        return ExportedRoot(issuer=root, ca=OfflineCa(certificate=certificate, key=key, scheme=self._scheme))

    async def leave(self, exported: ExportedRoot, crl_validity: timedelta) -> StoredCrl:
        """Destroy the key that is here, and publish a CRL that holds until the next is brought.

        The CRL is signed before and published after: while the key is here the service makes CRLs of its own.

        Raises:
            LintFailed: the CRL would hold for too long; the key is still here.
            Unknown: somebody else has done so meanwhile.
        """
        issuer, now = exported.issuer, self._clock.now()
        exported.ca.sign_crl(await self._crls.request(issuer.issuer_id), now, crl_validity)
        destroyed = self._event(AuditKind.ISSUER_KEY_DESTROYED, issuer, reason="exported")
        await self._register.erase_key(issuer.issuer_id, destroyed)
        await self._traces.erase_traces()
        request = await self._crls.request(issuer.issuer_id)
        return await self._crls.take_in(exported.ca.sign_crl(request, self._clock.now(), crl_validity))

    def _event(self, kind: AuditKind, root: StoredIssuer, **detail: str) -> AuditEvent:
        return AuditEvent(
            kind=kind, at=self._clock.now(), actor=self._actor, subject=root.issuer_id, detail=detail
        )
