"""Will this organization's mail leave, arrive and be believed? Every check, in the order mail goes."""

import asyncio

import dns.resolver
from checkdmarc.utils import DNS_CACHE

from ca.sealing import Sealer
from directory.delivery.exchanges.resolving import Resolver, ResolvingFailed
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.replies import Permanent, Transient
from directory.delivery.returnpath import bounce_address
from directory.delivery.settings import DeliverySettings
from directory.delivery.smarthosts import SmartHosts
from directory.doctor.authentication import (
    SigningKey,
    check_alignment,
    check_dkim,
    check_sender_policy,
    read_dmarc,
)
from directory.doctor.findings import Diagnosis, Finding, Verdict
from directory.organization import Organization, SmtpSecurity, dkim_key_identity


class MailDoctor:
    """Examines how an organization's mail fares."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        smart_hosts: SmartHosts,
        sealer: Sealer,
        settings: DeliverySettings,
        direct: DirectSettings,
    ) -> None:
        self._resolver = resolver
        self._smart_hosts = smart_hosts
        self._sealer = sealer
        self._settings = settings
        self._direct = direct

    async def examine(self, organization: Organization) -> Diagnosis:
        """Ask the DNS, and the smart host if there is one; send nothing.

        Raises:
            SealBroken: the organization's DKIM key or its smart host's password does not open.
        """
        domain = organization.mail_from.domain
        return_domain = bounce_address(organization).domain
        asking = blocking_resolver(self._direct)
        # checkdmarc remembers answers for half an hour; who has just mended a record wants it to be seen.
        DNS_CACHE.clear()
        dkim = await check_dkim(self._resolver, domain, self._key(organization))
        spf = await asyncio.to_thread(check_sender_policy, asking, return_domain)
        policy, dmarc = await asyncio.to_thread(read_dmarc, asking, domain)
        alignment = check_alignment(
            domain=domain, return_domain=return_domain, dkim=dkim, spf=spf, policy=policy
        )
        leaving = await self._check_smart_host(organization) or self._check_own_name()
        returning = await self._check_exchangers(return_domain)
        return Diagnosis(
            organization=organization.slug,
            domain=domain,
            findings=(leaving, dkim, spf, dmarc, alignment, returning),
        )

    def _key(self, organization: Organization) -> SigningKey | None:
        dkim = organization.correspondence.dkim
        if dkim is None:
            return None
        identity = dkim_key_identity(organization.organization_id)
        return SigningKey(selector=dkim.selector, pem=self._sealer.unseal(dkim.sealed_key, identity))

    async def _check_smart_host(self, organization: Organization) -> Finding | None:
        host = organization.smart_host
        if host is None:
            return None
        name = f"{host.host}:{host.port}"
        async with self._smart_hosts.session(organization, organization.mail_from) as session:
            if isinstance(session, Transient | Permanent):
                says = f"{name} cannot be used: {session.failure}"
                return Finding(check="smart_host", verdict=Verdict.BAD, says=says)
        login = "takes the login" if host.username is not None else "wants no login"
        if host.security is SmtpSecurity.CLEAR:
            says = f"{name} answers and {login}, in clear; it has to be this very machine"
        else:
            says = f"{name} answers under TLS with a good certificate and {login}"
        return Finding(check="smart_host", verdict=Verdict.GOOD, says=says)

    def _check_own_name(self) -> Finding:
        name = self._settings.helo_name
        if "." not in name:
            says = "mail goes out directly, but delivery.helo_name is no full host name: many will refuse it"
            return Finding(check="own_name", verdict=Verdict.WARNING, says=says)
        says = f"mail goes out directly, from {name}; its address must lead back to that name"
        return Finding(check="own_name", verdict=Verdict.GOOD, says=says)

    async def _check_exchangers(self, return_domain: str) -> Finding:
        try:
            found = await self._resolver.mail_exchangers(return_domain)
        except ResolvingFailed as error:
            return Finding(check="mx", verdict=Verdict.WARNING, says=str(error))
        hosts = ", ".join(sorted(record.host for record in found.records if record.host))
        if not hosts:
            says = f"{return_domain} takes no mail: bounces are lost, and many receivers refuse such senders"
            publish = f"{return_domain}. IN MX 10 THE-HOST-THAT-TAKES-MAIL."
            return Finding(check="mx", verdict=Verdict.WARNING, says=says, publish=publish)
        says = f"bounces return to {return_domain}, which {hosts} takes mail for"
        return Finding(check="mx", verdict=Verdict.GOOD, says=says)


def blocking_resolver(settings: DirectSettings) -> dns.resolver.Resolver:
    """Return the configured resolver for use in a thread."""
    asking = dns.resolver.Resolver(configure=settings.resolver is None)
    if settings.resolver is not None:
        asking.nameservers = [str(settings.resolver.address)]
        asking.port = settings.resolver.port
    asking.lifetime = settings.dns_timeout.total_seconds()
    return asking
