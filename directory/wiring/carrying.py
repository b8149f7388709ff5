"""How does mail leave? Smart hosts and the way to mail exchangers, put together."""

from directory.delivery.carriers import Carriers
from directory.delivery.exchanges.exchanges import Exchanges
from directory.delivery.exchanges.fetching import HttpsPolicyFetcher
from directory.delivery.exchanges.mta_sts import MtaSts
from directory.delivery.exchanges.protecting import Protections
from directory.delivery.exchanges.resolving import DnsResolver
from directory.delivery.smarthosts import SmartHosts
from directory.delivery.smtp import tls_context
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
