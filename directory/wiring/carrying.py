"""How does mail leave? Smart hosts and the way to mail exchangers, put together, and who examines them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from directory.delivery.carriers import Carriers
from directory.delivery.exchanges.exchanges import Exchanges
from directory.delivery.exchanges.fetching import HttpsPolicyFetcher
from directory.delivery.exchanges.mta_sts import MtaSts
from directory.delivery.exchanges.protecting import Protections
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.smtp import tls_context
from directory.doctor.mail import MailDoctor
from directory.store.mta_sts import SqlPolicyCache
from directory.store.tls_reports import SqlTlsTally
from directory.wiring import extracts
from directory.wiring.installation import Installation


def carriers(installation: Installation) -> Carriers:
    """Return what lends sessions to whoever takes an organization's mail.

    Raises:
        ConfigurationRefused: the file of additional CA certificates cannot be used, or the resolver is not
            one that may be trusted.
    """
    clock, settings = installation.clock, extracts.delivery_settings(installation.settings)
    direct = extracts.direct_settings(installation.settings)
    trust = tls_context(settings.ca_file)
    resolver = DnsResolver(direct)
    return Carriers(
        smart_hosts=SmartHosts(sealer=installation.sealer, clock=clock, settings=settings),
        exchanges=Exchanges(
            resolver=resolver,
            mta_sts=MtaSts(
                resolver=resolver,
                fetcher=HttpsPolicyFetcher(resolver=resolver, tls=trust, settings=direct),
                cache=SqlPolicyCache(installation.database),
            ),
            protections=Protections(resolver=resolver, trust=trust, clock=clock, settings=direct),
            tally=SqlTlsTally(installation.database),
            clock=clock,
            settings=settings,
            direct=direct,
        ),
    )


@asynccontextmanager
async def mail_doctor(installation: Installation) -> AsyncIterator[MailDoctor]:
    """Return what examines how an organization's mail fares.

    Raises:
        ConfigurationRefused: as `carriers`.
    """
    settings = extracts.delivery_settings(installation.settings)
    direct = extracts.direct_settings(installation.settings)
    smart_hosts = SmartHosts(sealer=installation.sealer, clock=installation.clock, settings=settings)
    try:
        yield MailDoctor(
            resolver=DnsResolver(direct),
            smart_hosts=smart_hosts,
            sealer=installation.sealer,
            settings=settings,
            direct=direct,
        )
    finally:
        await smart_hosts.close()
