"""The session as a state machine: whatever happens in whatever order, every request gets what it is owed."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from directory.callers import Anonymous, Gateway
from directory.errors import StoreUnavailable
from directory.ldap.codes import START_TLS, WHO_AM_I
from directory.ldap.session import State
from tests.directory.builders import a_gateway
from tests.directory.ldap.dialogue import Dialogue, Seen, a_dialogue
from tests.directory.ldap.memory import BIND_NAME, TOKEN, absent, found
from tests.directory.ldap.wire import (
    ReadResult,
    abandon,
    bind,
    bind_with_sasl,
    cancel,
    compare,
    extended,
    mail,
    or_,
    search,
    unbind,
)

MOST = 3
"""Lookups of the connection under way at once."""


def can_send(machine: "SessionMachine") -> bool:
    return machine.client.session.state not in {State.CLOSED, State.STARTING_TLS}


def is_checking(machine: "SessionMachine") -> bool:
    return machine.client.session.state is State.AUTHENTICATING


class SessionMachine(RuleBasedStateMachine):
    """A client that does what it likes, and a directory that answers when it likes."""

    client: Dialogue

    @initialize()
    def begin(self) -> None:
        self.client = a_dialogue(operations_per_connection=MOST)
        self.last_id = 0
        self.owed: set[int] = set()
        """Requests whose response has not come."""
        self.forgotten: set[int] = set()
        """Requests that were abandoned: a response may come or not."""

    # The client.

    @precondition(can_send)
    @rule(kind=st.sampled_from(["search", "two", "compare", "who", "write", "PLAIN", "sasl"]))
    def ask(self, kind: str) -> None:
        number = self._number()
        self._send(
            {
                "search": search(message_id=number),
                "two": search(or_(mail(), mail("bob@example.com")), message_id=number),
                "compare": compare("mail=alice@example.com,ou=people,o=directory", message_id=number),
                "who": extended(WHO_AM_I, message_id=number),
                "write": search(scope=9, message_id=number),
                "PLAIN": bind_with_sasl("PLAIN", f"\0gw\0{TOKEN}".encode(), message_id=number),
                "sasl": bind_with_sasl("GSSAPI", message_id=number),
            }[kind]
        )

    @precondition(can_send)
    @rule(name=st.sampled_from(["", BIND_NAME, "nonsense"]), password=st.sampled_from(["", TOKEN]))
    def bind(self, name: str, password: str) -> None:
        self._send(bind(name, password, message_id=self._number()))

    @precondition(can_send)
    @rule(back=st.integers(min_value=0, max_value=5))
    def abandon(self, back: int) -> None:
        abandoned = max(self.last_id - back, 1)
        self.forgotten.add(abandoned)
        self.last_id += 1
        self._send(abandon(abandoned, message_id=self.last_id))

    @precondition(can_send)
    @rule(back=st.integers(min_value=0, max_value=5))
    def cancel(self, back: int) -> None:
        cancelled = max(self.last_id - back, 1)
        self._send(cancel(cancelled, message_id=self._number()))

    @precondition(can_send)
    @rule()
    def ask_for_tls(self) -> None:
        if self.client.session.wants_octets:
            self._send(extended(START_TLS, message_id=self._number()))

    @precondition(can_send)
    @rule()
    def say_good_bye(self) -> None:
        if len(self.owed) > MOST:
            self.last_id += 1
            self._send(unbind(message_id=self.last_id))

    # The directory and the network.

    @precondition(lambda self: self.client.operations)
    @rule(at=st.integers(min_value=0), is_found=st.booleans())
    def answer(self, at: int, *, is_found: bool) -> None:
        operation = self.client.operations.pop(at % len(self.client.operations))
        outcomes = [found() if is_found else absent() for _ in operation.plan.questions]
        self._take(self.client.answer(operation, *outcomes))

    @precondition(lambda self: self.client.operations)
    @rule(at=st.integers(min_value=0))
    def be_late(self, at: int) -> None:
        operation = self.client.operations[at % len(self.client.operations)]
        self._take(self.client.carry_out(self.client.session.late(operation)))

    @precondition(is_checking)
    @rule(gateway=st.sampled_from([None, a_gateway()]))
    def check(self, gateway: Gateway | None) -> None:
        self._take(self.client.carry_out(self.client.session.authenticated(gateway)))

    @precondition(is_checking)
    @rule()
    def fail_to_check(self) -> None:
        error = StoreUnavailable(reason="away")
        self._take(self.client.carry_out(self.client.session.authentication_failed(error)))

    @precondition(lambda self: self.client.session.state is State.STARTING_TLS)
    @rule()
    def establish_tls(self) -> None:
        self._take(self.client.carry_out(self.client.session.tls_established()))
        assert isinstance(self.client.session.asker, Anonymous)

    @rule(gateway=st.sampled_from([a_gateway(may_mint=False)] * 3 + [None]))
    def revise(self, gateway: Gateway | None) -> None:
        self._take(self.client.carry_out(self.client.session.revised(gateway)))

    # What must hold.

    @invariant()
    def bounds_are_kept(self) -> None:
        session = self.client.session
        assert len(self.client.operations) <= MOST
        assert (session.state is State.CLOSED) is (self.client.closed_because is not None)
        assert isinstance(session.asker, Gateway) is (session.credential is not None)
        if session.state is not State.OPEN:
            assert not session.wants_octets

    def teardown(self) -> None:
        """Answer everything; then nothing is owed, unless the session has ended."""
        while self.client.operations or is_checking(self):
            if is_checking(self):
                self.check(None)
            else:
                self.answer(0, is_found=True)
        if self.client.session.state is State.OPEN:
            assert self.owed <= self.forgotten
            assert self.client.session.is_idle

    def _number(self) -> int:
        self.last_id += 1
        self.owed.add(self.last_id)
        return self.last_id

    def _send(self, pdu: bytes) -> None:
        self._take(self.client.send(pdu))

    def _take(self, seen: Seen) -> None:
        for response in seen.responses:
            if not isinstance(response, ReadResult):
                assert response.message_id in self.owed
            elif response.message_id == 0:
                assert seen.closed
            else:
                self.owed.remove(response.message_id)


TestSession = SessionMachine.TestCase
TestSession.settings = settings(stateful_step_count=25)
