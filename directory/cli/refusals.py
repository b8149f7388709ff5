"""What becomes of a certificate request that an operator brings and that is refused? It is on record."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ca.errors import CaError
from directory.audit import AuditEvent, AuditKind
from directory.cli.opening import operator
from directory.errors import AlreadyExists, ConfigurationRefused, KeyBlocked
from directory.wiring.installation import Installation


@asynccontextmanager
async def refusals_on_record(opened: Installation, request: str) -> AsyncIterator[None]:
    """Put on record that a request was refused, and by which kind of error; the error goes on."""
    try:
        yield
    except (CaError, ConfigurationRefused, AlreadyExists, KeyBlocked) as error:
        await opened.audit_log.append(
            AuditEvent(
                kind=AuditKind.REQUEST_REFUSED,
                at=opened.clock.now(),
                actor=operator(),
                subject=request,
                detail={"because": type(error).__name__},
            )
        )
        raise
