import logging
import logging.config
from collections.abc import Iterator

import pytest

from directory.http.logs import logging_config
from directory.http.middleware import ACCESS_LOGGER


@pytest.fixture
def configured() -> Iterator[None]:
    """The process's logging as the service configures it; as it was, afterwards."""
    names = list(logging_config()["loggers"])
    before = {
        name: (logger.level, logger.propagate, list(logger.handlers))
        for name in names
        for logger in [logging.getLogger(name)]
    }
    logging.config.dictConfig(logging_config("DEBUG"))
    yield
    for name, (level, propagate, handlers) in before.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers = handlers


@pytest.mark.usefixtures("configured")
def test_the_servers_own_access_log_stays_silent() -> None:
    access = logging.getLogger("uvicorn.access")

    assert not access.isEnabledFor(logging.INFO)
    assert not access.propagate


@pytest.mark.usefixtures("configured")
def test_the_server_says_nothing_below_a_warning_even_where_we_debug() -> None:
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
    assert logging.getLogger("directory.http").isEnabledFor(logging.DEBUG)


@pytest.mark.usefixtures("configured")
def test_our_access_log_goes_where_our_other_messages_go() -> None:
    assert logging.getLogger(ACCESS_LOGGER).hasHandlers()
    assert logging.getLogger(ACCESS_LOGGER).isEnabledFor(logging.INFO)
