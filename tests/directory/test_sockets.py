import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from directory.sockets import Sharing, reserve, take

HOST = "127.0.0.1"
TAKER = """
import os, sys
from directory.sockets import Sharing, take

os.setuid(65534)
take("127.0.0.1", int(sys.argv[1]), Sharing.WORKERS)
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def port_of(taken: socket.socket) -> int:
    return int(taken.getsockname()[1])


def refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) != 0


def test_what_is_taken_can_be_connected_to_before_anybody_accepts(stack: ExitStack) -> None:
    taken = stack.enter_context(take(HOST, 0))

    assert not refused(port_of(taken))


def test_an_address_of_version_6_is_taken_for_that_version_alone(stack: ExitStack) -> None:
    taken = stack.enter_context(take("::1", 0))

    assert taken.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


@pytest.mark.parametrize("sharing", Sharing)
def test_what_one_process_has_taken_nobody_else_takes(stack: ExitStack, sharing: Sharing) -> None:
    port = port_of(stack.enter_context(take(HOST, 0)))

    with pytest.raises(OSError, match="in use"):
        take(HOST, port, sharing)
    with pytest.raises(OSError, match="in use"):
        reserve(HOST, port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(OSError, match="assign"):
        take("192.0.2.1", 0)


def test_workers_share_what_is_reserved_for_them(stack: ExitStack) -> None:
    port = port_of(stack.enter_context(reserve(HOST, 0)))

    assert refused(port), "nobody listens yet"
    for _ in range(2):
        stack.enter_context(take(HOST, port, Sharing.WORKERS))
    assert not refused(port)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_reserved_for_workers_nobody_takes_alone(stack: ExitStack, workers: int) -> None:
    port = port_of(stack.enter_context(reserve(HOST, 0)))
    for _ in range(workers):
        stack.enter_context(take(HOST, port, Sharing.WORKERS))

    with pytest.raises(OSError, match="in use"):
        take(HOST, port)


def test_the_port_of_another_service_with_workers_is_not_joined(stack: ExitStack) -> None:
    port = port_of(stack.enter_context(reserve(HOST, 0)))
    stack.enter_context(take(HOST, port, Sharing.WORKERS))

    with pytest.raises(OSError, match="in use"):
        reserve(HOST, port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_cannot_join_workers(stack: ExitStack) -> None:
    port = port_of(stack.enter_context(reserve(HOST, 0)))
    stack.enter_context(take(HOST, port, Sharing.WORKERS))

    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", TAKER, str(port)], capture_output=True, text=True, check=False
    )

    assert "Address already in use" in ended.stderr
