"""What looks after the token while the service runs? It is looked for, and cleared of spare keys."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ca.pkcs11 import TokenThread
from directory.sparekeys import SpareKeys
from directory.store.spare_keys import SqlSpareKeys
from directory.timekeeping import Doubt, never_doubted
from directory.wiring.installation import Installation
from directory.wiring.pkcs11 import watching_token


@asynccontextmanager
async def keeping_token(installation: Installation, doubt: Doubt) -> AsyncIterator[None]:
    """Look after the token, if there is one, until the context ends: that it is there, and what is in it."""
    async with watching_token(installation.token):
        if installation.token is None:
            yield
            return
        spare = spare_keys(installation, installation.token, doubt)
        task = asyncio.create_task(spare.run(), name="spare keys")
        try:
            yield
        finally:
            spare.stop()
            await task


def spare_keys(installation: Installation, token: TokenThread, doubt: Doubt = never_doubted) -> SpareKeys:
    """Return what clears the token."""
    return SpareKeys(
        store=SqlSpareKeys(installation.database, node=installation.node),
        token=token,
        clock=installation.clock,
        uniform=random.SystemRandom().uniform,
        doubt=doubt,
    )
