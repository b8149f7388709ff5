"""Where does each front end listen? The configured addresses, taken together, and what port 0 has found."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import TypeAlias

from directory.errors import ConfigurationRefused
from directory.settings import ListenAddress, Settings


class FrontEnd(StrEnum):
    """What is listened on, by the name of its section in the configuration."""

    HTTP = "http"
    LDAP = "ldap"
    LDAPS = "ldaps"
    BOUNCES = "bounces"


Take: TypeAlias = Callable[[str, int], socket.socket]
"""Takes a host and port; raises OSError when it cannot."""


@contextmanager
def taken(settings: Settings, take: Take) -> Iterator[Mapping[FrontEnd, socket.socket]]:
    """Take every address that is served; LDAPS is where there is a certificate, bounces where they are taken.

    Raises:
        ConfigurationRefused: one cannot be taken; then none is.
    """
    with ExitStack() as stack:
        yield {
            front_end: stack.enter_context(_taken(front_end, address, take))
            for front_end, address in _configured(settings).items()
        }


def found(settings: Settings, sockets: Mapping[FrontEnd, socket.socket]) -> Mapping[FrontEnd, ListenAddress]:
    """Return the addresses with the ports that were found, where port 0 asked for any."""
    configured = _configured(settings)
    return {
        front_end: ListenAddress(host=configured[front_end].host, port=taken.getsockname()[1])
        for front_end, taken in sockets.items()
    }


def settled(settings: Settings, listening: Mapping[FrontEnd, ListenAddress]) -> Settings:
    """Return the settings with these addresses in the place of the configured ones."""
    return settings.model_copy(
        update={
            front_end.value: getattr(settings, front_end.value).model_copy(update={"listen": address})
            for front_end, address in listening.items()
        }
    )


def as_document(listening: Mapping[FrontEnd, ListenAddress]) -> dict[str, str]:
    """Return the addresses by front end, as they are announced."""
    return {front_end.value: str(address) for front_end, address in listening.items()}


def _configured(settings: Settings) -> Mapping[FrontEnd, ListenAddress]:
    listens = {FrontEnd.HTTP: settings.http.listen, FrontEnd.LDAP: settings.ldap.listen}
    if settings.tls.certificate is not None:
        listens[FrontEnd.LDAPS] = settings.ldaps.listen
    if settings.bounces.listen is not None:
        listens[FrontEnd.BOUNCES] = settings.bounces.listen
    return listens


def _taken(front_end: FrontEnd, address: ListenAddress, take: Take) -> socket.socket:
    try:
        return take(address.host, address.port)
    except OSError as error:
        raise ConfigurationRefused(
            key=f"{front_end.value}.listen",
            reason=f"cannot listen on {address}: {error.strerror}",
            remedy="choose another address, or stop what uses this one",
        ) from error
