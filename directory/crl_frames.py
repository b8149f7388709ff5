"""What do the service and the process that builds a long CRL say to each other? Frames over two pipes.

To the process: its orders, pages of entries, an empty frame; and a signature, when it has asked for one. From
it: a tag and what belongs to it. What comes back from it is octets only, and is never unpickled.
"""

import pickle
from dataclasses import dataclass
from enum import Enum, unique
from typing import BinaryIO, Final

from ca.revocation import PreparedCrl
from ca.signing import SignatureScheme

LENGTH: Final = 8
"""Octets that say how long a frame is."""


@unique
class Tag(Enum):
    """What the process says."""

    TO_BE_SIGNED = b"S"
    """Octets that were linted."""
    BUILT = b"C"
    """The CRL, DER."""
    FOUND_WANTING = b"L"
    """What the linter found, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the process needs to know."""

    certificate: bytes
    """The issuer's, DER."""
    scheme: SignatureScheme
    prepared: PreparedCrl
    """Without its entries."""

    def encoded(self) -> bytes:
        """Return what `Orders.decoded` takes."""
        return pickle.dumps(self)

    @classmethod
    def decoded(cls, octets: bytes) -> "Orders":
        """Read the orders."""
        orders = pickle.loads(octets)  # noqa: S301 - from our own parent process, over a pipe nobody else has
        if not isinstance(orders, cls):
            raise TypeError("this process is started by a service that makes CRLs, and by nobody else")
        return orders


def framed(content: bytes) -> bytes:
    """Return what `read_frame` reads."""
    return len(content).to_bytes(LENGTH) + content


def read_frame(source: BinaryIO) -> bytes:
    """Read one frame.

    Raises:
        EOFError: whoever was to write it is gone.
    """
    length = source.read(LENGTH)
    content = source.read(int.from_bytes(length))
    if len(length) < LENGTH or len(content) < int.from_bytes(length):
        raise EOFError
    return content
