"""Who signs for whom, when, and in which state every issuer is."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ca.profiles import Purpose
from ca.sealing import SealedSecret
from directory.hierarchy import Hierarchy, IssuerState, StoredIssuer
from directory.organization import SHARED_SCOPE
from tests.contracts.world import NOW, an_issuer

DAY = timedelta(days=1)
KEY = SealedSecret(master_key_id="m", wrapped_key=b"w", ciphertext=b"c")
ROOT = an_issuer("root-1", parent_id=None, purpose=Purpose.ROOT_CA)


def issuing(issuer_id: str, active_from: datetime | None, *, organization: str | None = None) -> StoredIssuer:
    return an_issuer(issuer_id, sealed_key=KEY, active_from=active_from, organization_id=organization)


def signer(hierarchy: Hierarchy, moment: datetime, scope: str = SHARED_SCOPE) -> str | None:
    found = hierarchy.signer(scope, moment)
    return found.issuer_id if found else None


FIRST, SECOND = issuing("first", NOW - DAY), issuing("second", NOW + DAY)
SUCCESSION = Hierarchy(issuers=(ROOT, FIRST, SECOND))


@pytest.mark.parametrize(
    ("moment", "expected", "states"),
    [
        (NOW - 2 * DAY, None, (IssuerState.PENDING, IssuerState.PENDING)),
        (NOW, "first", (IssuerState.ACTIVE, IssuerState.PENDING)),
        (NOW + DAY - timedelta(microseconds=1), "first", (IssuerState.ACTIVE, IssuerState.PENDING)),
        (NOW + DAY, "second", (IssuerState.SUCCEEDED, IssuerState.ACTIVE)),
        (FIRST.not_after, None, (IssuerState.EXPIRED, IssuerState.EXPIRED)),
    ],
)
def test_one_succeeds_the_other_at_its_moment(
    moment: datetime, expected: str | None, states: tuple[IssuerState, IssuerState]
) -> None:
    assert signer(SUCCESSION, moment) == expected
    assert tuple(SUCCESSION.state(one, moment) for one in (FIRST, SECOND)) == states


def test_whoever_signs_now_and_whoever_will_is_made_ready() -> None:
    assert {one.issuer_id for one in SUCCESSION.signers(NOW)} == {"first", "second"}
    assert {one.issuer_id for one in SUCCESSION.signers(NOW + DAY)} == {"second"}


def test_nobody_takes_the_place_of_a_revoked_one_by_himself() -> None:
    revoked = Hierarchy(issuers=(FIRST, replace(SECOND, revoked_at=NOW)))

    assert signer(revoked, NOW + 2 * DAY) is None
    assert revoked.state(revoked.issuers[1], NOW + 2 * DAY) is IssuerState.REVOKED
    assert (
        signer(
            Hierarchy(issuers=(replace(FIRST, active_from=NOW + 2 * DAY), revoked.issuers[1])), NOW + 2 * DAY
        )
        == "first"
    )


def test_a_certificate_that_is_not_yet_valid_signs_nothing() -> None:
    assert signer(Hierarchy(issuers=(replace(FIRST, not_before=NOW + DAY),)), NOW) is None


def test_a_key_that_is_elsewhere_signs_nothing_here() -> None:
    assert signer(Hierarchy(issuers=(replace(FIRST, sealed_key=None),)), NOW) is None


def test_an_organization_is_served_by_its_own_alone_once_it_has_one() -> None:
    own = issuing("own", NOW + DAY, organization="clinic")
    hierarchy = Hierarchy(issuers=(FIRST, own))

    assert signer(hierarchy, NOW, "clinic") == "first"
    assert hierarchy.signer("clinic", NOW, only_own=True) is None
    assert signer(hierarchy, NOW + DAY, "clinic") == "own"
    assert signer(hierarchy, NOW + DAY) == "first"
    assert signer(Hierarchy(issuers=(FIRST, replace(own, revoked_at=NOW))), NOW + 2 * DAY, "clinic") is None
    assert {one.issuer_id for one in hierarchy.signers(NOW + DAY)} == {"first", "own"}


def test_a_root_is_active_until_it_ends() -> None:
    assert SUCCESSION.state(ROOT, NOW) is IssuerState.ACTIVE
    assert SUCCESSION.state(ROOT, ROOT.not_after) is IssuerState.EXPIRED
