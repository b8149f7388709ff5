"""A house with two organizations behind the HTTP front end, in memory: good values, one deviation at a time.

The use cases are the real ones; only what they keep things in is a dictionary.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import httpx
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from ca.keys import PublicKey
from ca.sealing import MasterKey, MasterKeyring, Sealer
from directory.audit import AuditEvent
from directory.authorities import AuthorityBoard, PublishedCrl
from directory.callers import (
    Agent,
    AgentCredential,
    Asker,
    Authentication,
    Credential,
    Gateway,
    GatewayCredential,
    HeldToken,
    RecoveryAgentCredential,
)
from directory.cursors import Cursor
from directory.delivery.outbox import DeliveryState, MailKind, MailState
from directory.enrolmentsecrets import relay_password_identity
from directory.errors import Unknown
from directory.http.app import create_app
from directory.http.pages.rendering import Sender
from directory.http.pages.services import PageServices
from directory.http.services import HttpServices, HttpSettings, NamedCheck, Page, RequestTally
from directory.links import LinkPurpose, PresentedLink
from directory.lookup import Answer, Lookup, Minted, Origin, PublishedCertificate
from directory.organization import Organization
from directory.outbox_admin import MailFilter, MailRecord
from directory.policy import MintContext, MintPolicy
from directory.proof import ProofAnswer, Proven
from directory.recipient import RecipientDesk
from directory.recovery import RecoveryDesk, RecoveryRules
from directory.relay import PasswordChannel, Relay, RelayDesk, RelayOutcome, RelayState
from directory.resending import Decision, KeyMailResender, Resend, Resendable
from directory.status import ChannelState, ChannelStatus, EnrolmentStatus, KeyState
from directory.suppression import StopAnswer, Stopped
from directory.tokens import TokenKind, issue_token
from tests.builders import Authority, a_certificate
from tests.directory.builders import a_gateway, an_agent, an_organization
from tests.directory.clocks import StoppedClock
from tests.directory.custody import ROSA, Custody
from tests.directory.ocspdesks import an_ocsp_desk
from tests.directory.recipients import LinkBook

SEALER = Sealer(MasterKeyring(active=MasterKey(key_id="m1", material=bytes(range(32)))))
ALICE = Mailbox.parse("alice@example.com")
NOBODY_YET = Mailbox.parse("bob@example.net")
ENROLMENT = "0123456789abcdef0123456789abcdef"
PARTITION = 12
PASSWORD = "Q4W8Z-7H2KD-93MXV-N5TRB-6C0GP"

GATEWAY = issue_token(TokenKind.GATEWAY)
AGENT = issue_token(TokenKind.AGENT)
READER = issue_token(TokenKind.GATEWAY)
OTHER_GATEWAY = issue_token(TokenKind.GATEWAY)
OTHER_AGENT = issue_token(TokenKind.AGENT)
RECOVERY_AGENT = issue_token(TokenKind.RECOVERY_AGENT)


@dataclass
class Shelf:
    """The directory and the right to mint into it: `DirectoryReader` and `Minter`."""

    fresh: PublishedCertificate
    certificates: dict[str, PublishedCertificate] = field(default_factory=dict)
    minted: list[Mailbox] = field(default_factory=list)
    answer: Answer | None = None
    """What a mint comes to, where it is not a certificate."""
    failure: Exception | None = None
    """What reading runs into."""

    async def live_certificates(
        self, address_key: str, _asker: Asker, _now: datetime
    ) -> Sequence[PublishedCertificate]:
        if self.failure is not None:
            raise self.failure
        certificate = self.certificates.get(address_key)
        return (certificate,) if certificate is not None else ()

    async def mint_context(self, _address_key: str, gateway: Gateway) -> MintContext | None:
        return MintContext(
            gateway=gateway, organization=an_organization(organization_id=gateway.organization_id)
        )

    async def mint(self, mailbox: Mailbox, _context: MintContext) -> Answer:
        self.minted.append(mailbox)
        return self.answer or Minted(certificate=replace(self.fresh, mailbox=mailbox), enrolment_id=ENROLMENT)


@dataclass
class Register:
    """Callers by token: `CallerStore`."""

    gateways: dict[str, GatewayCredential]
    agents: dict[str, AgentCredential]
    recovery_agents: dict[str, RecoveryAgentCredential] = field(default_factory=dict)

    async def gateway_by_token(self, token_id: str) -> GatewayCredential | None:
        return self.gateways.get(token_id)

    async def gateways_by_credential(self, credentials: Collection[Credential]) -> dict[Credential, Gateway]:
        return {
            credential: self.gateways[credential.token_id].gateway
            for credential in credentials
            if isinstance(credential, HeldToken) and credential.token_id in self.gateways
        }

    async def recovery_agent_by_token(self, token_id: str) -> RecoveryAgentCredential | None:
        return self.recovery_agents.get(token_id)

    async def agent_by_token(self, token_id: str) -> AgentCredential | None:
        return self.agents.get(token_id)


@dataclass
class Drawer:
    """Relays: `RelayStore`."""

    relays: dict[str, Relay]
    events: list[AuditEvent] = field(default_factory=list)
    failure: Exception | None = None
    """What writing runs into."""

    async def relay(self, enrolment_id: str, organization_id: str) -> Relay:
        relay = self.relays.get(enrolment_id)
        if relay is None or relay.organization_id != organization_id:
            raise Unknown(kind="enrolment", name=enrolment_id)
        return relay

    async def mark_revealed(self, relay: Relay, agent: Agent, event: AuditEvent) -> None:
        if self.failure is not None:
            raise self.failure
        self.relays[relay.enrolment_id] = replace(
            relay, state=RelayState.REVEALED, revealed_at=event.at, revealed_by=agent.agent_id
        )
        self.events.append(event)

    async def record_outcome(
        self, relay: Relay, *, state: RelayState, outcome: RelayOutcome, note: str, event: AuditEvent
    ) -> None:
        self.relays[relay.enrolment_id] = replace(relay, state=state, outcome=outcome, note=note)
        self.events.append(event)


@dataclass
class Ledger:
    """Enrolments as their organizations see them: `EnrolmentReader`."""

    statuses: dict[tuple[str, str], EnrolmentStatus]

    async def enrolment(self, enrolment_id: str, organization_id: str) -> EnrolmentStatus:
        status = self.statuses.get((enrolment_id, organization_id))
        if status is None:
            raise Unknown(kind="enrolment", name=enrolment_id)
        return status

    async def awaiting_relay(
        self, organization_id: str, *, after: Cursor | None, most: int
    ) -> Sequence[EnrolmentStatus]:
        own = [status for (_, owner), status in self.statuses.items() if owner == organization_id]
        waiting = [status for status in own if status.live and status.closed_at is None]
        behind = [status for status in waiting if after is None or _place(status.cursor) > _place(after)]
        return sorted(behind, key=lambda status: _place(status.cursor))[:most]


@dataclass
class Outbox:
    """Outgoing mails by whose they are: `MailReader`."""

    records: list[tuple[str, MailRecord]] = field(default_factory=list)

    async def mails(self, wanted: MailFilter, *, after: Cursor | None, most: int) -> Sequence[MailRecord]:
        meant = [
            record
            for owner, record in self.records
            if wanted.organization_id in {None, owner}
            and wanted.enrolment_id in {None, record.enrolment_id}
            and wanted.state in {None, record.state}
            and wanted.kind in {None, record.kind}
            and (after is None or _place(record.cursor) < _place(after))
        ]
        return sorted(meant, key=lambda record: _place(record.cursor), reverse=True)[:most]


def _place(cursor: Cursor) -> tuple[int, datetime, str]:
    return cursor.rank, cursor.moment, cursor.record_id


@dataclass
class Catalogue:
    """The authority's own certificates: `IssuerCatalogue`."""

    certificates: dict[str, bytes]
    crossed: dict[str, list[bytes]] = field(default_factory=dict)

    async def issuer_certificates(self) -> Mapping[str, bytes]:
        return self.certificates

    async def cross_certificates(self) -> Mapping[str, Sequence[bytes]]:
        return self.crossed


async def a_page() -> Page:
    """What is measured here: nothing."""
    return Page(content=b"# nothing\n", content_type="text/plain; version=1.0.0; charset=utf-8")


@dataclass
class Probe:
    """What can be wrong with the process: `ReadinessProbe`."""

    found: list[NamedCheck] = field(
        default_factory=lambda: [NamedCheck(name="database"), NamedCheck(name="key_pool")]
    )

    async def checks(self) -> Sequence[NamedCheck]:
        return self.found


@dataclass
class Confirmations:
    """What recipients have confirmed: `ProofDesk` and `OptOut`, which always agree."""

    proven: list[PresentedLink] = field(default_factory=list)
    stopped: list[PresentedLink] = field(default_factory=list)
    proof_answer: ProofAnswer | None = None
    """What a proof comes to, where it is not accepted."""

    async def prove(self, presented: PresentedLink) -> ProofAnswer:
        self.proven.append(presented)
        return self.proof_answer or Proven(enrolment_id=ENROLMENT)

    async def stop(self, presented: PresentedLink) -> StopAnswer:
        self.stopped.append(presented)
        return Stopped(address=str(ALICE))


def sender_of(organization: Organization) -> Sender:
    return Sender(name=organization.name, contact=organization.contact)


@dataclass
class House:
    """Everything, with each part at hand."""

    shelf: Shelf
    drawer: Drawer
    catalogue: Catalogue
    outbox: Outbox
    board: AuthorityBoard
    probe: Probe
    links: LinkBook
    confirmations: Confirmations
    resends: "Counter"
    custody: Custody
    clock: StoppedClock
    services: HttpServices
    tokens: dict[LinkPurpose, str] = field(default_factory=dict)
    """Of links that a test has given out."""

    def app(self, settings: HttpSettings | None = None) -> FastAPI:
        return create_app(replace(self.services, settings=settings or self.services.settings))

    def client(
        self, settings: HttpSettings | None = None, *, peer: str = "127.0.0.1", scheme: str = "http"
    ) -> httpx.AsyncClient:
        """Return a client at the peer's address; failures of the application come back as answers."""
        transport = httpx.ASGITransport(
            app=self.app(settings), client=(peer, 50000), raise_app_exceptions=False
        )
        return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://localhost")


def a_published_certificate(
    authority: Authority, public_key: PublicKey, mailbox: Mailbox = ALICE, origin: Origin = Origin.FOUND
) -> PublishedCertificate:
    certificate = a_certificate(authority, public_key, mailbox=mailbox)
    return PublishedCertificate(
        mailbox=mailbox,
        der=certificate.public_bytes(Encoding.DER),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        origin=origin,
    )


Certificates = tuple[PublishedCertificate, PublishedCertificate]


def house_certificates(authority: Authority, public_key: PublicKey) -> Certificates:
    """Return Alice's certificate, and the one that a mint gives."""
    return (
        a_published_certificate(authority, public_key),
        a_published_certificate(authority, public_key, NOBODY_YET, Origin.MINTED),
    )


def a_house(authority: Authority, certificates: Certificates) -> House:
    """Build a house: Alice has a certificate, one enrolment of the first organization awaits its relay."""
    clock = StoppedClock()
    alice, fresh = certificates
    shelf = Shelf(fresh=fresh, certificates={ALICE.key: alice})
    lookup = Lookup(
        reader=shelf, policy=MintPolicy(), minter=shelf, clock=clock, patience=timedelta(minutes=1)
    )
    sealed = SEALER.seal(PASSWORD.encode(), relay_password_identity(ENROLMENT, "org-1"))
    drawer = Drawer(
        relays={
            ENROLMENT: Relay(
                enrolment_id=ENROLMENT,
                organization_id="org-1",
                state=RelayState.WAITING,
                sealed_password=sealed,
            )
        }
    )
    catalogue = Catalogue(
        certificates={f"{4 - i:040x}": c.public_bytes(Encoding.DER) for i, c in enumerate(authority.chain)}
    )
    board = AuthorityBoard()
    of_issuers = [a_published_crl(*issuer, clock.now()) for issuer in catalogue.certificates.items()]
    issuing = of_issuers[0]
    of_partition = a_published_crl(
        issuing.issuer_id, issuing.issuer_certificate, clock.now(), number=3, partition=PARTITION
    )
    board.show({}, [*of_issuers, of_partition])
    probe = Probe()
    outbox = Outbox([("org-1", a_mail(clock.now()))])
    custody = Custody(enrolment_id=ENROLMENT, mailbox=ALICE)
    links, confirmations, resends = LinkBook(), Confirmations(), Counter()
    resender = KeyMailResender(store=resends, clock=clock, lifetime=timedelta(days=5))
    services = HttpServices(
        answer=lookup.answer,
        authentication=Authentication(_register()),
        relay_desk=RelayDesk(store=drawer, sealer=SEALER, clock=clock),
        resender=resender,
        recoveries=RecoveryDesk(store=custody, clock=clock, rules=RecoveryRules()),
        enrolments=Ledger({(ENROLMENT, "org-1"): _status(shelf.fresh, clock.now())}),
        mails=outbox,
        issuers=catalogue,
        crls=board,
        ocsp=an_ocsp_desk(clock=clock),
        readiness=probe,
        metrics=a_page,
        pages=PageServices(
            desk=RecipientDesk(store=links, sealer=SEALER, resender=resender, clock=clock),
            prove=confirmations.prove,
            stop=confirmations.stop,
            sender_of=sender_of,
        ),
        requests=RequestTally(),
        clock=clock,
        settings=HttpSettings(),
    )
    return House(
        shelf=shelf,
        drawer=drawer,
        catalogue=catalogue,
        outbox=outbox,
        board=board,
        probe=probe,
        links=links,
        confirmations=confirmations,
        resends=resends,
        custody=custody,
        clock=clock,
        services=services,
    )


def a_mail(created_at: datetime, *, mail_id: str = "a" * 32, kind: MailKind = MailKind.KEY) -> MailRecord:
    return MailRecord(
        mail_id=mail_id,
        enrolment_id=ENROLMENT,
        organization="hospital",
        kind=kind,
        recipient=ALICE,
        message_id="<1.key@hospital.org>",
        state=MailState.QUEUED,
        created_at=created_at,
        due_at=created_at + timedelta(minutes=4),
        give_up_at=created_at + timedelta(days=5),
        attempts=2,
        in_hands_until=None,
        last_failure="RCPT: 450 4.2.0 greylisted",
        ended_at=None,
    )


def a_published_crl(
    issuer_id: str,
    issuer_certificate: bytes,
    this_update: datetime,
    *,
    number: int = 1,
    partition: int | None = None,
) -> PublishedCrl:
    return PublishedCrl(
        issuer_id=issuer_id,
        issuer_certificate=issuer_certificate,
        partition=partition,
        entries=0,
        der=f"CRL {number} of {issuer_id}, {partition}".encode(),  # nothing but octets to this front end
        number=number,
        this_update=this_update,
        next_update=this_update + timedelta(days=7),
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@dataclass
class Counter:
    """Enrolments of the first organization whose key mail may be sent again: `ResendStore`."""

    queued: list[Resend] = field(default_factory=list)
    has_room: bool = True
    """Whether the budget of mails has room for one more."""
    suppressed: bool = False
    """Whether the recipient wants no mail."""

    async def resend(self, enrolment_id: str, _since: datetime, decide: Decision) -> None:
        if enrolment_id != ENROLMENT:
            raise Unknown(kind="enrolment", name=enrolment_id)
        resend, _ = decide(
            Resendable(
                enrolment_id=enrolment_id,
                organization_id="org-1",
                recipient=ALICE,
                sender=Mailbox.parse("keys@hospital.org"),
                live=True,
                key_is_held=True,
                is_queued=bool(self.queued),
                has_room=self.has_room,
                suppressed=self.suppressed,
            )
        )
        self.queued.append(resend)


def _register() -> Register:
    gateways = {
        GATEWAY: a_gateway(),
        READER: a_gateway(gateway_id="gateway-2", name="reader", may_mint=False),
        OTHER_GATEWAY: a_gateway(gateway_id="gateway-3", name="other", organization_id="org-2"),
    }
    agents = {AGENT: an_agent(), OTHER_AGENT: an_agent(agent_id="agent-2", organization_id="org-2")}
    return Register(
        gateways={
            token.token_id: GatewayCredential(gateway=gateway, token_digest=token.digest)
            for token, gateway in gateways.items()
        },
        agents={
            token.token_id: AgentCredential(agent=agent, token_digest=token.digest)
            for token, agent in agents.items()
        },
        recovery_agents={
            RECOVERY_AGENT.token_id: RecoveryAgentCredential(agent=ROSA, token_digest=RECOVERY_AGENT.digest)
        },
    )


def _status(certificate: PublishedCertificate, now: datetime) -> EnrolmentStatus:
    assert isinstance(certificate.mailbox, Mailbox)
    return EnrolmentStatus(
        enrolment_id=ENROLMENT,
        mailbox=certificate.mailbox,
        serial=certificate.serial,
        minted_at=now,
        not_after=certificate.not_after,
        live=True,
        key=KeyState.HELD,
        package_format=KeyPackageFormat.COMPATIBLE,
        delivery=DeliveryState.ACCEPTED,
        delivery_attempts=2,
        last_failure="the smart host said 451",
        accepted_at=now + timedelta(seconds=2),
        relay=RelayState.WAITING,
        revealed_at=None,
        closed_at=None,
        expires_at=now + timedelta(days=30),
        released_through=None,
        channels=(
            ChannelStatus(
                channel=PasswordChannel.WEBHOOK,
                state=ChannelState.QUEUED,
                attempts=1,
                last_failure="status.503",
            ),
        ),
    )
