"""Which MTA-STS policies are kept, so that a restart does not forget what protects a domain's mail?"""

import json
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, bindparam, delete, select

from directory.delivery.exchanges.mta_sts import StsMode, StsPolicy
from directory.store.database import Database
from directory.store.statements import Upsert
from directory.store.tables import mta_sts_policies

_REPLACED = ("policy_id", "policy", "fetched_at", "expires_at")
_KEEP = Upsert(
    mta_sts_policies,
    lambda insert: insert.on_conflict_do_update(
        index_elements=[mta_sts_policies.c.domain],
        set_={column: insert.excluded[column] for column in _REPLACED},
        # Two workers may have fetched at once; the older text must not win.
        where=mta_sts_policies.c.fetched_at <= insert.excluded.fetched_at,
    ),
)
_FIND = select(mta_sts_policies).where(mta_sts_policies.c.domain == bindparam("domain"))
_FORGET = delete(mta_sts_policies).where(mta_sts_policies.c.expires_at <= bindparam("now"))


class SqlPolicyCache:
    """MTA-STS policies of recipients' domains."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, domain: str) -> StsPolicy | None:
        """Return the policy of a domain, expired or not."""
        return await self._database.read(partial(_find, domain=domain))

    async def keep(self, policy: StsPolicy) -> None:
        """Keep the policy in place of the domain's former one; forget those that have run out."""
        await self._database.write(partial(_keep, policy=policy))


def _find(connection: Connection, *, domain: str) -> StsPolicy | None:
    row = connection.execute(_FIND, {"domain": domain}).one_or_none()
    if row is None:
        return None
    policy = json.loads(row.policy)
    return StsPolicy(
        domain=row.domain,
        policy_id=row.policy_id,
        mode=StsMode(policy["mode"]),
        patterns=tuple(policy["mx"]),
        fetched_at=row.fetched_at,
        expires_at=row.expires_at,
    )


def _keep(connection: Connection, *, policy: StsPolicy) -> None:
    _forget(connection, now=policy.fetched_at)
    connection.execute(
        _KEEP.on(connection),
        {
            "domain": policy.domain,
            "policy_id": policy.policy_id,
            "policy": json.dumps({"mode": policy.mode.value, "mx": policy.patterns}),
            "fetched_at": policy.fetched_at,
            "expires_at": policy.expires_at,
        },
    )


def _forget(connection: Connection, *, now: datetime) -> None:
    connection.execute(_FORGET, {"now": now})
