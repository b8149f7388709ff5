"""How does a transaction wait for something that is no SQL, such as a signature, and hold up nobody else?

On SQLite its work has a thread of its own, and only other writers wait. On PostgreSQL it runs on the event
loop, where everybody would: so the something goes to a thread, and the loop goes on meanwhile.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.util import await_

Result = TypeVar("Result")


def aside(connection: Connection, work: Callable[[], Result]) -> Result:
    """Do the work in the middle of a transaction; what it raises, this raises."""
    if connection.dialect.is_async:
        return await_(asyncio.to_thread(work))
    return work()
