import gc
import resource
from collections.abc import Iterator

import pytest

from directory.wiring.resources import OTHER_DESCRIPTORS, allow_connections, spare_garbage_collection


@pytest.fixture
def hard_limit() -> Iterator[int]:
    """Lower the soft limit for the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_process_may_open_as_many_files_as_the_system_lets_it(hard_limit: int) -> None:
    allow_connections(100)

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard_limit, hard_limit)


@pytest.mark.usefixtures("hard_limit")
def test_it_is_said_if_that_is_too_few(caplog: pytest.LogCaptureFixture) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system sets no limit")

    allow_connections(hard - OTHER_DESCRIPTORS)
    assert caplog.text == ""
    allow_connections(hard)

    assert f"{hard} LDAP connections are allowed" in caplog.text


def test_what_was_made_before_is_looked_at_no_more() -> None:
    try:
        spare_garbage_collection()

        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
