"""What makes the database itself announce that something was taken away? Triggers, whoever writes.

Answers are remembered in memory (`directory/changes.py`), so whatever makes one untrue is announced in the
same transaction: a certificate that is revoked, withdrawn, changed or deleted, or added as a recipient's own,
which goes before a minted one; a renewal, for it will be served at a moment that what is remembered does not
know of; a gateway or an organization whose rights change. A trigger can be forgotten neither by the next use
case nor by somebody who repairs a row by hand.

Any other minted certificate announces nothing: there was none before it, and that there is none is not
remembered.

The row of `directory_state` stays locked until the transaction ends, so generations are committed in their
order. It is locked before the audit head: a statement that fires a trigger has its place before the event.

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
        condition="WHEN (NEW.origin <> 'minted')",
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

STATEMENTS: Final = {
    "sqlite": tuple(trigger.on_sqlite() for trigger in _TRIGGERS),
    "postgresql": tuple(
        statement
        for trigger in _TRIGGERS
        for statement in (trigger.function_on_postgresql(), trigger.on_postgresql())
    ),
}
"""By dialect, the statements that make the triggers."""
