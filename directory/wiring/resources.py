"""What does the process ask of its machine? File descriptors for its connections, and few pauses."""

import gc
import logging
import resource

logger = logging.getLogger(__name__)

OTHER_DESCRIPTORS = 256
"""What is open besides LDAP's connections: the database, HTTP, mails under way, logs."""

_ALLOCATIONS_PER_COLLECTION = 20_000
"""Of containers, more made than freed: what a few mints leave, mostly the linter's trees."""


def allow_connections(wanted: int) -> None:
    """Let the process open as many descriptors as it may; say so if they do not suffice for the connections.

    The lower of the two limits is for programs that cannot count beyond 1024; it is theirs to raise.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < wanted + OTHER_DESCRIPTORS:
        logger.warning(
            "%d LDAP connections are allowed, but the system allows only %d open files", wanted, hard
        )


def spare_garbage_collection() -> None:
    """Let the collector look no more at what was made until now: code and configuration, which stay.

    Otherwise each of its full rounds, which grow in number with what is remembered, stops the service for as
    long as that takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION, 10, 10)
