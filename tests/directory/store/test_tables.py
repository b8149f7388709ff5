from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

from directory.store.tables import UtcDateTime, metadata

DIALECTS: tuple[Dialect, ...] = (sqlite.dialect(), postgresql.dialect())  # type: ignore[no-untyped-call]

moments = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds, and adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(moment=moments)
def test_a_moment_comes_back_as_the_same_in_utc(dialect: Dialect, moment: datetime) -> None:
    column = UtcDateTime()

    back = column.process_result_value(column.process_bind_param(moment, dialect), dialect)

    assert back == moment
    assert back is not None
    assert back.tzinfo is UTC


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_naive_moment_is_refused(dialect: Dialect) -> None:
    with pytest.raises(ValueError, match="naive"):
        UtcDateTime().process_bind_param(datetime(2026, 11, 22), dialect)  # noqa: DTZ001 - the point


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_no_moment_stays_none(dialect: Dialect) -> None:
    column = UtcDateTime()

    assert column.process_bind_param(None, dialect) is None
    assert column.process_result_value(None, dialect) is None


def test_every_place_for_a_secret_names_its_master_key() -> None:
    wrapped = [
        (table, column.name.removesuffix("_wrapped_key"))
        for table in metadata.sorted_tables
        for column in table.c
        if column.name.endswith("_wrapped_key")
    ]

    assert {(table.name, prefix) for table, prefix in wrapped} == {
        ("organizations", "smtp_password"),
        ("organizations", "dkim_key"),
        ("organizations", "webhook_secret"),
        ("outgoing_mail", "message"),
        ("issuers", "key"),
        ("pending_issuers", "key"),
        ("audit_keys", "key"),
        ("ocsp_responders", "key"),
        ("pooled_keys", "key"),
        ("held_keys", "key"),
        ("relays", "password"),
    }
    for table, prefix in wrapped:
        (reference,) = table.c[f"{prefix}_master_key_id"].foreign_keys
        assert reference.target_fullname == "master_keys.id"
