"""What is one worker of `serve --workers N` told, and what of the machine is its share?

A worker is a fresh interpreter, not a fork, which threads, event loop and connections of the parent would
not survive. It reads its orders from standard input, which the parent then keeps open: when that ends, the
parent is gone, and the worker stops in order. It answers with one line on standard output when it serves.
"""

import os
import pickle
from dataclasses import dataclass, field
from typing import BinaryIO

from directory.errors import ConfigurationRefused
from directory.settings import Settings

READY = b"ready\n"
"""What a worker says when it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrders:
    """What a worker needs to know; all of it is the parent's, nothing is read or asked a second time."""

    number: int
    """From 1."""
    settings: Settings
    """The worker's own: its name, its share, the ports that were found."""
    passphrase: bytes | None = field(repr=False)
    """The master key's. It travels in a pipe: arguments and environment can be seen by others."""

    def encoded(self) -> bytes:
        """Return what `read_orders` reads."""
        return pickle.dumps(self)


def read_orders(source: BinaryIO) -> WorkerOrders:
    """Read the orders from the pipe that the parent holds."""
    # Settings are not read from text again: the environment would have its say a second time, and take the
    # ports that were found back.
    orders = pickle.load(source)  # noqa: S301 - from our own parent process, over a pipe nobody else has
    if not isinstance(orders, WorkerOrders):
        raise TypeError("a worker is started by `pushpki serve --workers`, and by nobody else")
    return orders


def refuse_workers(settings: Settings, workers: int) -> None:
    """Return if the database lets several processes work on it.

    Raises:
        ConfigurationRefused: it is an SQLite file, which has one writer.
    """
    if workers > 1 and settings.database.url.startswith("sqlite:"):
        raise ConfigurationRefused(
            key="--workers",
            reason=f"an SQLite database is served by one process, not by {workers}",
            remedy="leave --workers out, or move to PostgreSQL (database.url)",
        )


def orders_for(settings: Settings, passphrase: bytes | None, *, number: int, workers: int) -> WorkerOrders:
    """Return the orders of one of so many workers.

    Its name is that of the node and its number: claims on mails are its own, and so is its audit chain. One
    chain for all would let only one of them commit at a time.
    """
    service = settings.service.model_copy(update={"node": f"{settings.service.node}/{number}"})
    cores = os.cpu_count() or 1
    low = settings.ca.key_pool_low
    ca = settings.ca.model_copy(
        update={
            "key_pool_size": -(-settings.ca.key_pool_size // workers),
            "key_pool_low": None if low is None else low // workers,
            "key_pool_threads": max(1, (settings.ca.key_pool_threads or cores) // workers),
        }
    )
    share = settings.model_copy(update={"service": service, "ca": ca})
    return WorkerOrders(number=number, settings=share, passphrase=passphrase)
