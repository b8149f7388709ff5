"""What must hold whatever octets a session gets. For Hypothesis and the fuzzer."""

from collections import Counter

from directory.ldap.binding import Protection
from directory.ldap.codes import ResultCode
from directory.ldap.session import Session, State
from directory.ldap.settings import LdapSettings, StartTls
from directory.ldap.tree import Tree
from tests.directory.ldap.dialogue import LOOPBACK, REMOTE, Dialogue, Seen
from tests.directory.ldap.memory import FINGERPRINT, Directory
from tests.directory.ldap.wire import ReadResult

HEADER = 2
"""The first octets say how the connection is, and how the others are cut."""
_REMOTE, _TLS, _CERTIFICATE, _LOGGED_IN, _GOES_ON, _NO_START_TLS = (1 << bit for bit in range(6))

ENDINGS = frozenset(
    {ResultCode.PROTOCOL_ERROR, ResultCode.UNWILLING_TO_PERFORM}  # no message, and too many wrong credentials
)


_SETTINGS = LdapSettings()
_TREES = {start_tls: Tree(_SETTINGS.suffix, start_tls) for start_tls in StartTls}


def withstand(data: bytes) -> None:
    """Hold a conversation with a client that sends these octets; a broken promise is an AssertionError."""
    header, octets = data[:HEADER].ljust(HEADER, b"\0"), data[HEADER:]
    kind, cut = header
    size = cut or max(len(octets), 1)
    directory = Directory()
    client = _a_client(kind, directory)
    if kind & _LOGGED_IN and not kind & _REMOTE:
        client.log_in()
    answered: Counter[int] = Counter()
    for start in range(0, len(octets), size):
        seen = client.send(octets[start : start + size])
        _check(client, seen, answered)
        if seen.closed:
            break
        if client.session.state is State.STARTING_TLS and kind & _GOES_ON:
            client.carry_out(client.session.tls_established())
    if client.closed_because is None:
        _check(client, client.carry_out(client.session.end_of_input()), answered)
    if kind & _REMOTE and not kind & (_TLS | _CERTIFICATE | _GOES_ON):
        assert directory.mints == [], "minted for a login in clear"


def _a_client(kind: int, directory: Directory) -> Dialogue:
    start_tls = StartTls.UNAVAILABLE if kind & _NO_START_TLS else StartTls.OFFERED
    session = Session(
        tree=_TREES[start_tls],
        settings=_SETTINGS,
        peer_address=REMOTE if kind & _REMOTE else LOOPBACK,
        protection=Protection.TLS if kind & _TLS else Protection.NONE,
        start_tls=start_tls,
    )
    if kind & _CERTIFICATE:
        session.presented(FINGERPRINT)
    return Dialogue(session, directory)


def _check(client: Dialogue, seen: Seen, answered: Counter[int]) -> None:
    session = client.session
    results = [response for response in seen.responses if isinstance(response, ReadResult)]
    answered.update(result.message_id for result in results)
    assert answered[0] <= 1, "two notices of disconnection"
    assert sum(answered.values()) <= session.messages + 1, "more answers than requests"
    if answered[0]:
        assert seen.notice.code in ENDINGS
    assert (session.state is State.CLOSED) is seen.closed
    assert client.operations == []
    assert (session.credential is not None) is (type(session.asker).__name__ == "Gateway")
