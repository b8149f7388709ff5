"""What stands in for `ldap_load.c` where there is no C compiler: the same arguments, checks and figures.

It uses more processor time than what it measures.
"""

import itertools
import json
import math
import random
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.figures import percentile
from bench.gateways import elements, message_end
from bench.premises import require

_BIND_RESPONSE, _ENTRY, _DONE, _ENUMERATED = 0x61, 0x64, 0x65, 0x0A
_STEPS_PER_OCTAVE, _FIRST_STEP = 4, 0.01
_Pair = tuple[bytes, bytes]
_Questions = Iterable[Iterator[_Pair]]
"""What to ask over each connection."""


class _Connection:
    """A connection with one search under way."""

    def __init__(self, port: int, bind: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_at = 0.0
        self.waited: list[float] = []
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
                self.waited.append((time.perf_counter() - self.asked_at) * 1000)
                return True
            right = tag == _ENTRY and content.endswith(self._expected)
            require(right, "the entry ends with the expected certificate")
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
    port, number, bind_file, exchanges_file, how, *numbers = sys.argv[1:]
    (bind,) = _parts(Path(bind_file).read_bytes())
    parts = list(_parts(Path(exchanges_file).read_bytes()))
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    connections = {}
    for _ in range(int(number)):
        connection = _Connection(int(port), bind)
        connections[connection.socket.fileno()] = connection
    if how == "for":
        warm_up, seconds = map(float, numbers)
        questions = itertools.repeat(_at_random(pairs))
        _search(connections, questions, warm_up)
        _measure(connections, questions, seconds)
    elif how == "each":
        passes = itertools.repeat(pairs, int(numbers[0]))
        # One iterator, of which all connections take.
        _measure(connections, itertools.repeat(itertools.chain.from_iterable(passes)), math.inf)
    else:
        begins = (count * len(pairs) // len(connections) for count in range(len(connections)))
        _measure(connections, (iter(pairs[begin:] + pairs[:begin]) for begin in begins), math.inf)


def _at_random(pairs: list[_Pair]) -> Iterator[_Pair]:
    while True:
        yield random.choice(pairs)  # noqa: S311 - which address is asked for is no secret


def _measure(connections: dict[int, _Connection], questions: _Questions, seconds: float) -> None:
    for connection in connections.values():
        connection.waited.clear()
    print("begun", flush=True)
    cpu, began = time.process_time(), time.perf_counter()
    _search(connections, questions, seconds)
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    waited = sorted(itertools.chain.from_iterable(one.waited for one in connections.values()))
    answers = [len(connection.waited) for connection in connections.values()]
    figures = {
        "answers": len(waited),
        "seconds": ended - began,
        "cpu": cpu,
        "p50": percentile(waited, 0.5),
        "p90": percentile(waited, 0.9),
        "p99": percentile(waited, 0.99),
        "longest": waited[-1],
        "fewest": min(answers),
        "most": max(answers),
        "histogram": _histogram(waited),
    }
    print(json.dumps(figures))


def _search(connections: dict[int, _Connection], questions: _Questions, seconds: float) -> None:
    """Go on for so long, or until there are no more questions; then wait for the answers under way."""
    end = time.perf_counter() + seconds
    with select.epoll() as poll:
        asking = 0
        ahead = dict(zip(connections, questions, strict=False))
        for number, connection in connections.items():
            poll.register(connection.socket, select.EPOLLIN)
            first = next(ahead[number], None)
            if first is not None:
                connection.ask(first)
                asking += 1
        while asking:
            for number, _ in poll.poll(1):
                connection = connections[number]
                if not connection.is_answered():
                    continue
                following = next(ahead[number], None) if time.perf_counter() < end else None
                if following is None:
                    asking -= 1
                else:
                    connection.ask(following)


def _histogram(waited: Iterable[float]) -> list[tuple[float, int]]:
    steps = Counter(
        max(0, math.ceil(math.log2(milliseconds / _FIRST_STEP) * _STEPS_PER_OCTAVE))
        for milliseconds in waited
    )
    return [(_FIRST_STEP * 2 ** (step / _STEPS_PER_OCTAVE), steps[step]) for step in sorted(steps)]


if __name__ == "__main__":
    _main()
