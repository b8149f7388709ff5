"""A TLS certificate for the whole run, and both event loops."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.directory.ldap.network import Tls, a_certificate_for_this_machine

Run = Callable[[Coroutine[Any, Any, None]], None]

_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return a_certificate_for_this_machine(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=sorted(_LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test to its end on the event loop of the standard library, then on uvloop."""

    def run_on_loop(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=_LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(test, timeout=30))

    return run_on_loop
