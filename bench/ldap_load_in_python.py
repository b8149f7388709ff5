"""What stands in for `ldap_load.c` where there is no C compiler: the same arguments, checks and figures.

    python -m bench.ldap_load_in_python PORT CONNECTIONS WARM_UP_SECONDS SECONDS FILE

It uses more processor time than what it measures.
"""

import json
import random
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import percentile
from bench.gateways import elements, message_end
from bench.premises import require

_BIND_RESPONSE, _ENTRY, _DONE, _ENUMERATED = 0x61, 0x64, 0x65, 0x0A
_Pair = tuple[bytes, bytes]


class _Connection:
    """A connection with one search under way."""

    def __init__(self, port: int, bind: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_at = 0.0
        self._expected = b""
        self._received = b""
        self._entries = 0
        self.socket.sendall(bind)
        ((tag, result),) = self._operations()
        require(tag == _BIND_RESPONSE and _succeeded(result), "the gateway may bind")

    def ask(self, pair: _Pair) -> None:
        request, self._expected = pair
        self._entries = 0
        self.asked_at = time.perf_counter()
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read what has come; whether it was the end of the answer, and all of it as expected."""
        for tag, content in self._operations():
            if tag == _DONE:
                require(_succeeded(content), "the search succeeds")
                require(self._entries == 1, "one entry is the answer")
                return True
            require(tag == _ENTRY and self._expected in content, "the entry holds the expected certificate")
            self._entries += 1
        return False

    def _operations(self) -> Iterator[tuple[int, bytes]]:
        self._received += self.socket.recv(65536)
        while (end := message_end(self._received)) is not None:
            message, self._received = self._received[:end], self._received[end:]
            ((_, content),) = elements(message)
            (_, operation) = tuple(elements(content))[:2]
            yield operation


def _succeeded(result: bytes) -> bool:
    return next(elements(result)) == (_ENUMERATED, b"\x00")


def _parts(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4])
        yield content[at + 4 : at + 4 + size]
        at += 4 + size


def _main() -> None:
    port, number, warm_up, seconds = (
        int(sys.argv[1]),
        int(sys.argv[2]),
        float(sys.argv[3]),
        float(sys.argv[4]),
    )
    bind, *rest = _parts(Path(sys.argv[5]).read_bytes())
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    poll = select.epoll()
    connections = {}
    for _ in range(number):
        connection = _Connection(port, bind)
        connections[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    for connection in connections.values():
        connection.ask(random.choice(pairs))  # noqa: S311 - which address is asked for is no secret
    _search(connections, poll, pairs, warm_up)
    print("begun", flush=True)
    cpu, began = time.process_time(), time.perf_counter()
    waited = _search(connections, poll, pairs, seconds)
    figures = {
        "answers": len(waited),
        "seconds": time.perf_counter() - began,
        "p50": percentile(waited, 0.5),
        "p90": percentile(waited, 0.9),
        "p99": percentile(waited, 0.99),
        "longest": max(waited),
        "cpu": time.process_time() - cpu,
    }
    print(json.dumps(figures))


def _search(
    connections: dict[int, _Connection], poll: select.epoll, pairs: list[_Pair], seconds: float
) -> list[float]:
    """Go on for so long; return how many milliseconds each answer took."""
    waited = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for number, _ in poll.poll(1):
            connection = connections[number]
            if connection.is_answered():
                waited.append((time.perf_counter() - connection.asked_at) * 1000)
                connection.ask(random.choice(pairs))  # noqa: S311 - which address is asked for is no secret
    return waited


if __name__ == "__main__":
    _main()
