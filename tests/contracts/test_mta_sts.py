"""The contract of `PolicyCache`: what a domain asked for outlives us, and the newest text holds."""

from dataclasses import replace
from datetime import timedelta

from directory.delivery.exchanges.mta_sts import StsMode, StsPolicy
from directory.store.database import Database
from directory.store.mta_sts import SqlPolicyCache
from tests.contracts.world import NOW

POLICY = StsPolicy(
    domain="example.org",
    policy_id="20261122",
    mode=StsMode.ENFORCE,
    patterns=("mx1.example.org", "*.mail.example.org"),
    fetched_at=NOW,
    expires_at=NOW + timedelta(days=7),
)


async def test_what_is_kept_is_found(database: Database) -> None:
    cache = SqlPolicyCache(database)
    assert await cache.find("example.org") is None
    await cache.keep(POLICY)
    assert await cache.find("example.org") == POLICY
    assert await cache.find("example.com") is None


async def test_a_newer_policy_replaces_the_former_and_an_older_one_does_not(database: Database) -> None:
    cache = SqlPolicyCache(database)
    newer = replace(
        POLICY,
        policy_id="20261123",
        mode=StsMode.NONE,
        patterns=(),
        fetched_at=NOW + timedelta(hours=1),
        expires_at=NOW + timedelta(days=8),
    )
    await cache.keep(POLICY)
    await cache.keep(newer)
    assert await cache.find("example.org") == newer
    await cache.keep(POLICY)
    assert await cache.find("example.org") == newer


async def test_policies_that_have_run_out_are_forgotten(database: Database) -> None:
    cache = SqlPolicyCache(database)
    await cache.keep(replace(POLICY, domain="old.example", expires_at=NOW))
    await cache.keep(POLICY)
    assert await cache.find("old.example") is None
