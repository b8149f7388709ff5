"""Issuers are made active by whoever may, when they can."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.errors import CaError, SigningRefused, TokenKeyMissing
from ca.pkcs11 import TokenKey
from ca.profiles import Purpose
from directory.audit import AuditEvent, AuditKind
from directory.errors import ConfigurationRefused, Unknown
from directory.hierarchy import Hierarchy, StoredIssuer
from directory.issuers import IssuerDesk, KeyTrial, find_issuer
from directory.wiring.signers import Signers
from tests.contracts.world import NOW, SEALER, YEAR, an_issuer
from tests.directory.clocks import StoppedClock
from tests.directory.test_hierarchy import issuing

DAY = timedelta(days=1)
VALIDITY = 2 * YEAR
IN_THE_SAFE = TokenKey(token="safe", key_id="0a")


class Register:
    """Keeps what was set down."""

    def __init__(self, issuer: StoredIssuer) -> None:
        self._issuer = issuer
        self.activated: list[tuple[str, datetime]] = []
        self.events: list[AuditEvent] = []

    async def hierarchy(self) -> Hierarchy:
        return Hierarchy(issuers=(self._issuer,))

    async def activate(self, issuer_id: str, at: datetime, event: AuditEvent) -> None:
        self.activated.append((issuer_id, at))
        self.events.append(event)


def a_desk(issuer: StoredIssuer) -> tuple[IssuerDesk, Register]:
    """Return a desk where no token is configured."""
    register = Register(issuer)
    signers = Signers(SEALER)
    desk = IssuerDesk(
        register=register,
        has_key=signers.has_key,
        try_key=signers.try_key,
        clock=StoppedClock(NOW),
        actor="operator:olga",
    )
    return desk, register


def a_desk_with_a_token(issuer: StoredIssuer, try_key: KeyTrial) -> tuple[IssuerDesk, Register]:
    register = Register(issuer)
    desk = IssuerDesk(
        register=register,
        has_key=lambda _: True,
        try_key=try_key,
        clock=StoppedClock(NOW),
        actor="operator:olga",
    )
    return desk, register


@pytest.mark.parametrize(("at", "moment"), [(None, NOW), (NOW + 30 * DAY, NOW + 30 * DAY)])
async def test_an_issuing_ca_becomes_active_when_the_operator_says(
    at: datetime | None, moment: datetime
) -> None:
    desk, register = a_desk(issuing("next", None))

    await desk.activate("next", at, validity=VALIDITY)

    assert register.activated == [("next", moment)]
    (event,) = register.events
    assert (event.kind, event.actor, event.subject) == (
        AuditKind.ISSUER_ACTIVATED,
        "operator:olga",
        "next",
    )
    assert event.detail == {"active_from": moment.isoformat()}


@pytest.mark.parametrize(
    ("issuer", "reason"),
    [
        (replace(issuing("next", None), purpose=Purpose.ROOT_CA), "is no issuing CA"),
        (replace(issuing("next", None), revoked_at=NOW), "was revoked"),
        (replace(issuing("next", None), not_after=NOW), "has expired"),
        (replace(issuing("next", None), sealed_key=None), "has its key elsewhere"),
        (replace(issuing("next", None), sealed_key=None, token_key=IN_THE_SAFE), "has its key elsewhere"),
        (replace(issuing("next", None), not_before=NOW + DAY), "leaves no room"),
        (replace(issuing("next", None), not_after=NOW + VALIDITY - DAY), "leaves no room"),
    ],
)
async def test_what_cannot_certify_does_not_become_active(issuer: StoredIssuer, reason: str) -> None:
    desk, register = a_desk(issuer)

    with pytest.raises(ConfigurationRefused, match=reason):
        await desk.activate("next", None, validity=VALIDITY)

    assert register.activated == []


async def test_a_key_in_a_token_signs_a_trial_before_its_issuer_becomes_active() -> None:
    tried: list[StoredIssuer] = []
    issuer = replace(issuing("next", None), sealed_key=None, token_key=IN_THE_SAFE)
    desk, register = a_desk_with_a_token(issuer, tried.append)

    await desk.activate("next", None, validity=VALIDITY)

    assert tried == [issuer]
    assert register.activated == [("next", NOW)]


@pytest.mark.parametrize(
    "error",
    [TokenKeyMissing("safe", "has no private key of CKA_ID 0a"), SigningRefused("does not verify", "trial")],
)
async def test_one_whose_key_does_not_sign_does_not_become_active(error: CaError) -> None:
    def refuse(_: StoredIssuer) -> None:
        raise error

    issuer = replace(issuing("next", None), sealed_key=None, token_key=IN_THE_SAFE)
    desk, register = a_desk_with_a_token(issuer, refuse)

    with pytest.raises(type(error)):
        await desk.activate("next", NOW + DAY, validity=VALIDITY)

    assert (register.activated, register.events) == ([], [])


async def test_a_moment_that_is_past_is_refused() -> None:
    desk, _ = a_desk(issuing("next", None))

    with pytest.raises(ConfigurationRefused, match="is past") as refused:
        await desk.activate("next", NOW - DAY, validity=VALIDITY)

    assert refused.value.key == "--at"


def test_an_issuer_is_found_by_how_its_identifier_begins_if_nobody_elses_does() -> None:
    hierarchy = Hierarchy(issuers=(an_issuer("aabbcc11"), an_issuer("aabbcc22"), an_issuer("ddeeff33")))

    assert find_issuer(hierarchy, "AABBCC22").issuer_id == "aabbcc22"
    assert find_issuer(hierarchy, "ddeeff").issuer_id == "ddeeff33"
    for sought in ("aabbcc", "ddee", "00112233"):
        with pytest.raises(Unknown):
            find_issuer(hierarchy, sought)
