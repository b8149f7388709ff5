"""What runs in `pushpki serve`? Front ends, delivery and key pool on one event loop, started in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Self

from directory.delivery.dkim import DkimSigner
from directory.delivery.worker import DeliveryWorker
from directory.errors import AlreadyExists, ConfigurationRefused
from directory.housekeeping import Housekeeping
from directory.precedence import MintsFirst
from directory.settings import ListenAddress
from directory.sockets import Sharing, take
from directory.steps import StepListener, ignore_step
from directory.store.backlog import SqlBacklog
from directory.store.changes import SqlChangeLog
from directory.store.mint import SqlMintStore
from directory.store.outbox import SqlOutbox
from directory.wiring import addresses, extracts, minting
from directory.wiring.addresses import FrontEnd
from directory.wiring.authorities import publish, publishing
from directory.wiring.carrying import carriers
from directory.wiring.channels import TellingPostman, Webhooks
from directory.wiring.composing import composers, standing_back
from directory.wiring.evidence import life_on_record, notarized, watching
from directory.wiring.following import follow_up, following_up
from directory.wiring.frontends import FrontEndParts, serving_bounces, serving_http, serving_ldap
from directory.wiring.installation import Installation
from directory.wiring.issuing import tending_issuers
from directory.wiring.keystock import key_pool_administration, supplied
from directory.wiring.linting import linting
from directory.wiring.measuring import Measuring
from directory.wiring.ocsp import answering_ocsp
from directory.wiring.remembering import remembering
from directory.wiring.renewing import renewal_rules, renewing
from directory.wiring.sparekeys import keeping_token
from directory.wiring.timekeeping import keeping_time

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serving(
    installation: Installation, *, sharing: Sharing = Sharing.NOBODY, on_step: StepListener = ignore_step
) -> AsyncIterator[Mapping[FrontEnd, ListenAddress]]:
    """Serve until the context ends; then stop in order: no new questions, mints under way end, mails too.

    Raises:
        ConfigurationRefused: an address, a TLS file or the issuing CA cannot be used, recipients cannot be
            certified as configured, or another service has the name of this one.
        SealBroken: the issuing CA's key does not open, or a root's that has to make its CRL.
        StoreUnavailable: the database does not answer.
    """
    settings = installation.settings
    tls = extracts.ldap_tls(settings)
    backlog = SqlBacklog(installation.database, clock=installation.clock, renewal=renewal_rules(settings))
    measuring = Measuring(backlog=backlog, clock=installation.clock)
    precedence = MintsFirst()
    worker = _worker(installation, measuring, precedence, on_step)
    async with AsyncExitStack() as stack:
        # 1. The name under which mails are claimed: what bears it already must not be robbed of its claims.
        await _hold_name(installation, stack)

        #    What signs the audit log: the last to stop, so that the stop itself is signed.
        await stack.enter_async_context(notarized(installation))

        #    What watches the clock: nothing is signed for others before it has looked.
        keeper = await stack.enter_async_context(keeping_time(installation))

        #    What looks after the token that may hold the issuing CA's key.
        await stack.enter_async_context(keeping_token(installation, keeper.doubt))
        measuring.token(installation.token)

        # 2. What mints, with at least one key ready, so that the first question need not wait.
        keys = await stack.enter_async_context(supplied(installation, minting.key_pool(settings)))
        measuring.keys(keys)
        linter = await stack.enter_async_context(linting(sharing))
        makers = await stack.enter_async_context(minting.making(installation, linter))
        first_key = await asyncio.wrap_future(keys.take(settings.ca.key_algorithm))
        measuring.issuers(makers)
        if (maker := makers.shared) is not None:
            now = installation.clock.now()
            await asyncio.to_thread(minting.rehearse, maker, first_key.public_key(), now)

        # 3. What delivers: stopped after the last mint, but begun only when nothing can keep the service from
        #    starting.
        delivery = await stack.enter_async_context(_Delivery(worker))
        webhooks = await stack.enter_async_context(Webhooks.of(installation, on_step).stopped_at_the_end())
        postman = TellingPostman(worker, webhooks)
        minter = minting.enroller(
            installation,
            makers=makers,
            keys=keys,
            postman=postman,
            doubt=keeper.doubt,
            on_step=on_step,
            precedence=precedence,
        )
        patience = minting.mint_rules(settings).patience
        lookup = minting.lookup(installation, measuring.minter(minter), patience=patience)

        following = follow_up(installation)
        published = await publish(installation, keeper.doubt)
        measuring.crls(published.board)

        # 4. The start is put on record when nothing can keep the service from it: the addresses are taken.
        #    Its stop is, when all that follows here has ended.
        taken = stack.enter_context(addresses.taken(settings, partial(take, sharing=sharing)))
        await stack.enter_async_context(life_on_record(installation))

        # 5. What makes and destroys by itself, and mints that are under way when it ends.
        stack.push_async_callback(minter.settle)
        await stack.enter_async_context(_tidied(installation))
        await stack.enter_async_context(following_up(following))
        await stack.enter_async_context(tending_issuers(installation, keeper.doubt))
        await stack.enter_async_context(renewing(installation, minter, keeper.doubt))
        await stack.enter_async_context(publishing(published))

        # 6. What is asked: nobody is heard before.
        watch = await stack.enter_async_context(watching(installation))
        remembered = await stack.enter_async_context(remembering(installation, published.board))
        ocsp = await stack.enter_async_context(
            answering_ocsp(installation, remembered.follower, keeper.doubt)
        )
        parts = FrontEndParts(
            installation=installation,
            answer=watch.answering(lookup.answer),
            access=watch.access,
            published=published,
            doubt=keeper.doubt,
            remembered=remembered,
            ocsp=ocsp,
            measuring=measuring,
            on_queued=worker.notify,
        )
        await stack.enter_async_context(serving_ldap(parts, tls, taken))
        await stack.enter_async_context(serving_http(parts, taken[FrontEnd.HTTP]))
        await stack.enter_async_context(serving_bounces(parts, taken))
        await stack.enter_async_context(measuring.sampled())
        delivery.begin()
        webhooks.begin()
        yield addresses.found(settings, taken)


async def _hold_name(installation: Installation, stack: AsyncExitStack) -> None:
    try:
        await stack.enter_async_context(installation.database.named(installation.node))
    except AlreadyExists as error:
        raise ConfigurationRefused(
            key="service.node",
            reason=f"a service of the name {installation.node!r} is running on this database",
            remedy="stop it, or give each its own name",
        ) from error


def _worker(
    installation: Installation, measuring: Measuring, precedence: MintsFirst, on_step: StepListener
) -> DeliveryWorker:
    settings = extracts.delivery_settings(installation.settings)
    return DeliveryWorker(
        name=installation.node,
        outbox=measuring.outbox(SqlOutbox(installation.database, node=installation.node)),
        sealer=installation.sealer,
        composers=standing_back(composers(installation), precedence),
        carriers=carriers(installation),
        signer=DkimSigner(installation.sealer),
        settings=settings,
        clock=installation.clock,
        on_step=on_step,
    )


class _Delivery:
    """The delivery worker as a task, from `begin` to the end of the context."""

    def __init__(self, worker: DeliveryWorker) -> None:
        self._worker = worker
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take up what is due."""
        self._task = asyncio.create_task(self._worker.run(), name="delivery worker")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task is not None:
            self._worker.stop()
            await self._task


@asynccontextmanager
async def _tidied(installation: Installation) -> AsyncIterator[None]:
    stopped = asyncio.Event()
    housekeeping = Housekeeping(
        buckets=SqlMintStore(installation.database, node=installation.node),
        changes=SqlChangeLog(installation.database),
        stored_keys=key_pool_administration(installation, "service"),
        key_lifetime=timedelta(days=installation.settings.ca.key_pool_days),
        traces=installation.database,
        clock=installation.clock,
    )
    task = asyncio.create_task(housekeeping.run(stopped), name="housekeeping")
    try:
        yield
    finally:
        stopped.set()
        await task
