"""Good values to deviate from, one thing at a time."""

from ca.address import Mailbox
from ca.keypackage import KeyPackageFormat
from directory.callers import Agent, Gateway, RecoveryAgent
from directory.organization import SHARED_SCOPE, Organization, SmartHost, SmtpSecurity
from directory.policy import MintContext


def smart_host_of(organization: Organization) -> SmartHost:
    assert organization.smart_host is not None
    return organization.smart_host


def an_organization(
    *,
    organization_id: str = "org-1",
    slug: str = "hospital",
    domains: frozenset[str] = frozenset({"hospital.org"}),
    isolated: bool = False,
    package_format: KeyPackageFormat = KeyPackageFormat.COMPATIBLE,
) -> Organization:
    return Organization(
        organization_id=organization_id,
        slug=slug,
        name="City Hospital",
        domains=domains,
        mail_from=Mailbox.parse("keys@hospital.org"),
        smart_host=SmartHost(host="127.0.0.1", port=2525, security=SmtpSecurity.CLEAR),
        isolated=isolated,
        package_format=package_format,
        contact="+49 30 1234567",
    )


def a_gateway(
    *,
    gateway_id: str = "gateway-1",
    name: str = "gw",
    organization_id: str = "org-1",
    scope: str = SHARED_SCOPE,
    may_mint: bool = True,
) -> Gateway:
    return Gateway(
        gateway_id=gateway_id, name=name, organization_id=organization_id, scope=scope, may_mint=may_mint
    )


def an_agent(*, agent_id: str = "agent-1", organization_id: str = "org-1") -> Agent:
    return Agent(agent_id=agent_id, email="agent@hospital.org", organization_id=organization_id)


def a_recovery_agent(
    name: str = "rosa", *, email: str | None = None, certificate_sha256: bytes | None = None
) -> RecoveryAgent:
    mailbox = Mailbox.parse(email or f"{name}@keepers.org")
    return RecoveryAgent(
        agent_id=f"agent-{name}",
        name=name,
        email=mailbox.key,
        person=mailbox.base_key,
        certificate_sha256=certificate_sha256,
    )


def a_mint_context(
    *,
    gateway: Gateway | None = None,
    organization: Organization | None = None,
    domains: frozenset[str] = frozenset({"hospital.org"}),
    revoked: bool = False,
    bounced: bool = False,
    suppressed: bool = False,
) -> MintContext:
    return MintContext(
        gateway=gateway or a_gateway(),
        organization=organization or an_organization(domains=domains),
        revoked=revoked,
        bounced=bounced,
        suppressed=suppressed,
    )
