"""What makes the database itself announce that something was taken away? Triggers, whoever writes.

Answers are remembered in memory (`directory/changes.py`), so whatever makes one untrue is announced in the
same transaction: a certificate that is revoked, withdrawn, changed or deleted, or added as a recipient's own,
which goes before a minted one; a renewal, for it will be served at a moment that what is remembered does not
know of; a gateway or an organization whose rights change. A trigger can be forgotten neither by the next use
case nor by somebody who repairs a row by hand.

Any other minted certificate announces nothing: there was none before it, and that there is none is not
remembered. Nor does the row of a CA's own certificate or of a lost one, which nobody can look up.

The row of `directory_state` stays locked until the transaction ends, so generations are committed in their
order. It is locked before the audit head: a statement that fires a trigger has its place before the event.

Others count the changes of what a CRL must list (`directory/crls.py`): of all that an issuer has revoked, and
of each partition. Their rows are locked after that of `directory_state` (PostgreSQL fires triggers in the
order of their names), so no two transactions wait for each other.

Like a revision, this says what was true when it was written; a change makes a second version of it.
"""

from dataclasses import dataclass
from typing import Final

_NEXT_GENERATION = """
    INSERT INTO directory_state (id, generation) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET generation = directory_state.generation + 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trigger:
    name: str
    event: str
    announced: str
    """SQL of the address key; NULL stands for every address."""
    condition: str = ""

    def on_sqlite(self) -> str:
        return f"""
CREATE TRIGGER {self.name} AFTER {self.event} {self.condition} BEGIN{_NEXT_GENERATION};
    INSERT INTO changes (generation, address_key) SELECT generation, {self.announced} FROM directory_state;
END"""  # noqa: S608 - put together of texts of this module

    def function_on_postgresql(self) -> str:
        return f"""
CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
BEGIN{_NEXT_GENERATION} RETURNING directory_state.generation INTO reached;
    INSERT INTO changes (generation, address_key) VALUES (reached, {self.announced});
    RETURN NULL;
END $$"""  # noqa: S608 - likewise

    def on_postgresql(self) -> str:
        return f"""
CREATE TRIGGER {self.name} AFTER {self.event} FOR EACH ROW {self.condition}
EXECUTE FUNCTION {self.name}()"""


_TRIGGERS = (
    _Trigger(
        name="announce_certificate_changed",
        event="""UPDATE OF address_key, scope, origin, der, not_before, not_after, served_from, withdrawn_at,
revoked_at ON certificates""",
        # Nothing here changes an address; where one is changed nevertheless, both are concerned.
        announced="CASE WHEN NEW.address_key = OLD.address_key THEN OLD.address_key END",
    ),
    _Trigger(
        name="announce_certificate_found",
        event="INSERT ON certificates",
        condition="WHEN (NEW.origin = 'found')",
        announced="NEW.address_key",
    ),
    _Trigger(
        name="announce_certificate_deleted", event="DELETE ON certificates", announced="OLD.address_key"
    ),
    _Trigger(
        name="announce_renewal",
        # Not when the certificate is inserted: that is together with the event, and too late for this lock.
        event="INSERT ON enrolments",
        condition="WHEN (NEW.place = 'waiting')",
        announced="NEW.address_key",
    ),
    _Trigger(name="announce_gateway_changed", event="UPDATE ON gateways", announced="NULL"),
    _Trigger(name="announce_gateway_deleted", event="DELETE ON gateways", announced="NULL"),
    _Trigger(
        name="announce_organization_changed",
        event="UPDATE OF isolated, disabled_at ON organizations",
        announced="NULL",
    ),
    _Trigger(name="announce_organization_deleted", event="DELETE ON organizations", announced="NULL"),
)

_ROW = "SELECT {0}.issuer_id AS issuer_id, 0 AS part UNION SELECT {0}.issuer_id, {0}.crl_partition"
_IS_LISTED = "{0}.revoked_at IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counter:
    """Counts the changes of what CRLs must list, where a row is among that or was."""

    name: str
    event: str
    rows: tuple[str, ...]
    """As the event knows them: NEW, OLD."""

    @property
    def _condition(self) -> str:
        return f"WHEN ({' OR '.join(_IS_LISTED.format(row) for row in self.rows)})"

    @property
    def _counting(self) -> str:
        touched = " UNION ".join(_ROW.format(row) for row in self.rows)
        return f"""
    INSERT INTO crl_scopes (issuer_id, partition, changes)
    SELECT issuer_id, part, 1 FROM ({touched}) AS touched WHERE issuer_id IS NOT NULL
    ON CONFLICT (issuer_id, partition) DO UPDATE SET changes = crl_scopes.changes + 1;"""  # noqa: S608 - likewise

    def on_sqlite(self) -> str:
        return f"""
CREATE TRIGGER {self.name} AFTER {self.event} {self._condition} BEGIN{self._counting}
END"""

    def function_on_postgresql(self) -> str:
        return f"""
CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN{self._counting}
    RETURN NULL;
END $$"""

    def on_postgresql(self) -> str:
        return f"""
CREATE TRIGGER {self.name} AFTER {self.event} FOR EACH ROW {self._condition}
EXECUTE FUNCTION {self.name}()"""


_COUNTERS = (
    _Counter(
        name="count_revoked_changed",
        event="""UPDATE OF issuer_id, crl_partition, serial, not_after, revoked_at, revocation_reason
ON certificates""",
        rows=("NEW", "OLD"),
    ),
    _Counter(name="count_revoked_added", event="INSERT ON certificates", rows=("NEW",)),
    _Counter(name="count_revoked_deleted", event="DELETE ON certificates", rows=("OLD",)),
)

STATEMENTS: Final = {
    "sqlite": tuple(trigger.on_sqlite() for trigger in (*_TRIGGERS, *_COUNTERS)),
    "postgresql": tuple(
        statement
        for trigger in (*_TRIGGERS, *_COUNTERS)
        for statement in (trigger.function_on_postgresql(), trigger.on_postgresql())
    ),
}
"""By dialect, the statements that make the triggers."""
