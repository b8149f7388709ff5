"""How are addresses asked for that the directory knows? The searches, their answers, and room for them."""

import random
from collections.abc import Iterable
from pathlib import Path

from bench.gateways import bind_request, search_request
from bench.ldap_load import Exchange, Load
from bench.stock import Stocked
from bench.subject import Subject

CACHED_OCTETS = 4096
"""What one remembered answer takes at most, with what is needed to find and forget it."""

_MEBIBYTE = 1024 * 1024


def exchanges(known: Iterable[Stocked]) -> list[Exchange]:
    """Return a search for each, in random order, and its answer's end."""
    asked = [Exchange(request=search_request(one.address), expected=one.der) for one in known]
    random.shuffle(asked)
    return asked


def load_on(measured: Subject, asked: Path, *, connections: int) -> Load:
    """Return the load of a gateway's connections on the service."""
    return Load(
        port=measured.running.ports["ldap"],
        connections=connections,
        bind=bind_request(measured.running.installed.gateway_token),
        exchanges=asked,
        server=measured.running.process.pid,
    )


def cache_for(answers: int) -> dict[str, str]:
    """Return the setting with which the answer cache has room for so many, or is switched off."""
    mebibytes = -(-answers * CACHED_OCTETS // _MEBIBYTE)
    return {"PUSHPKI_LDAP__CACHE_MEBIBYTES": str(mebibytes)}
