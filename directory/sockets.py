"""How is an address to listen on taken? By one process alone, or by several workers side by side.

Workers listen on one port with SO_REUSEPORT (socket(7)): each has a queue of its own, and the kernel spreads
new connections over them. Only processes of the same user may join in.
"""

import socket
from enum import Enum
from typing import Final

_BACKLOG: Final = 2048


class Sharing(Enum):
    """Who else may listen on the address."""

    NOBODY = "nobody"
    WORKERS = "workers of the same service"


def take(host: str, port: int, sharing: Sharing = Sharing.NOBODY) -> socket.socket:
    """Return a socket that listens on a numeric address, or on `localhost`; port 0 finds a free one.

    Clients can connect from now on, and wait until somebody accepts them.

    Raises:
        OSError: the address is taken, or not this machine's.
    """
    taken = _bound(host, port, sharing)
    try:
        taken.listen(_BACKLOG)
    except OSError:
        taken.close()
        raise
    return taken


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps an address for workers, and the number of its port; it hears nobody itself.

    Raises:
        OSError: the address is taken, be it by the workers of another service, or not this machine's.
    """
    # Whoever shares his port with workers would share it with ours as well, and get half of the clients.
    if port:
        take(host, port).close()
    reserved = _bound(host, port, Sharing.WORKERS)
    # As long as both have this option, another could listen beside a socket that does not listen itself.
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return reserved


def _bound(host: str, port: int, sharing: Sharing) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # Connections of a former life that linger in TIME_WAIT must not keep the service from starting.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sharing is Sharing.WORKERS:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
