"""How does a gateway ask during a benchmark? Over LDAP and HTTP, one question at a time, at little cost.

Shares no code with the service: what it reads as an answer, a client in the field would.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Protocol

from bench.premises import require
from tests.service import GATEWAY, SUFFIX, Running

ATTRIBUTE = "userCertificate;binary"
TIMEOUT_SECONDS = 10.0

_BIND, _BOUND, _ENTRY, _DONE, _SEARCH = 0x60, 0x61, 0x64, 0x65, 0x63
_SEQUENCE, _INTEGER, _OCTETS, _BOOLEAN, _ENUMERATED, _SIMPLE, _EQUALS = 0x30, 2, 4, 1, 10, 0x80, 0xA3
_BUSY = 51
_SUBTREE, _NEVER_DEREFERENCE, _SIZE_LIMIT = 2, 0, 2


class Gateway(Protocol):
    """A connection over which questions are asked one after the other."""

    def look_up(self, address: str) -> bytes:
        """Return the certificate, DER.

        Raises:
            PremiseBroken: the answer is anything else.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class LdapGateway:
    """A gateway that is bound once and then searches."""

    def __init__(self, running: Running) -> None:
        self._socket = socket.create_connection(("127.0.0.1", running.ports["ldap"]), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._socket.sendall(bind_request(running.installed.gateway_token))
        tag, content = self._operation()
        require(tag == _BOUND and _result_code(content) == 0, "the gateway may bind")

    def look_up(self, address: str) -> bytes:
        """Search for the address; return the one certificate of the one entry."""
        self._socket.sendall(search_request(address))
        values: list[bytes] = []
        while True:
            tag, content = self._operation()
            if tag == _ENTRY:
                values += _values(content)
                continue
            code = _result_code(content) if tag == _DONE else None
            require(code != _BUSY, "the service keeps up (it said busy: this machine is too slow, or in use)")
            require(code == 0, f"a search succeeds, here with result code {code}")
            require(len(values) == 1, f"one certificate is the answer, here {len(values)}")
            return values[0]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _operation(self) -> tuple[int, bytes]:
        """Read one message; return the tag and the content of its operation."""
        while (end := message_end(self._received)) is None:
            octets = self._socket.recv(65536)
            require(octets, "the service keeps the connection")
            self._received += octets
        message, self._received = self._received[:end], self._received[end:]
        ((_, content),) = elements(message)
        (_, operation) = tuple(elements(content))[:2]
        return operation


class HttpGateway:
    """A gateway that asks the JSON interface, always over the same connection."""

    def __init__(self, running: Running) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", running.ports["http"], timeout=TIMEOUT_SECONDS
        )
        self._headers = {
            "Authorization": f"Bearer {running.installed.gateway_token}",
            "Content-Type": "application/json",
        }

    def look_up(self, address: str) -> bytes:
        """Ask for the address; return the certificate."""
        body = json.dumps({"email": address})
        self._connection.request("POST", "/api/v1/lookup", body=body, headers=self._headers)
        response = self._connection.getresponse()
        content = response.read()
        require(
            response.status == http.HTTPStatus.OK, f"a lookup succeeds, here with status {response.status}"
        )
        return ssl.PEM_cert_to_DER_cert(json.loads(content)["certificate"])

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def bind_request(token: str, *, message_id: int = 1) -> bytes:
    """Return a simple bind as the gateway (RFC 4511 section 4.2)."""
    name = f"cn={GATEWAY},ou=gateways,{SUFFIX}".encode()
    return _message(message_id, _tlv(_BIND, _integer(3), _tlv(_OCTETS, name), _tlv(_SIMPLE, token.encode())))


def search_request(address: str, *, message_id: int = 2) -> bytes:
    """Return the search for one address and its certificate, as gateways send it (section 4.5.1)."""
    return _message(
        message_id,
        _tlv(
            _SEARCH,
            _tlv(_OCTETS, SUFFIX.encode()),
            _tlv(_ENUMERATED, bytes([_SUBTREE])),
            _tlv(_ENUMERATED, bytes([_NEVER_DEREFERENCE])),
            _integer(_SIZE_LIMIT),
            _integer(0),
            _tlv(_BOOLEAN, b"\x00"),
            _tlv(_EQUALS, _tlv(_OCTETS, b"mail"), _tlv(_OCTETS, address.encode())),
            _tlv(_SEQUENCE, _tlv(_OCTETS, ATTRIBUTE.encode())),
        ),
    )


def elements(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each BER element."""
    at = 0
    while at < len(octets):
        tag, (length, start) = octets[at], _length(octets, at + 1)
        at = start + length
        yield tag, octets[start:at]


def message_end(octets: bytes) -> int | None:
    """Return where the first message ends; None if not all of it is there."""
    # Two octets say how many more say how long the message is.
    if len(octets) < 2 or len(octets) < 2 + max(0, octets[1] - 0x80):
        return None
    length, start = _length(octets, 1)
    return start + length if len(octets) >= start + length else None


def _values(entry: bytes) -> list[bytes]:
    """Return all values of the attribute asked for in a SearchResultEntry (section 4.5.2)."""
    _, (_, attributes) = elements(entry)
    values = []
    for _, attribute in elements(attributes):
        (_, description), (_, members) = elements(attribute)
        if description.lower() == ATTRIBUTE.lower().encode():
            values += [value for _, value in elements(members)]
    return values


def _result_code(result: bytes) -> int:
    _, code = next(elements(result))
    return int.from_bytes(code)


def _length(octets: bytes, at: int) -> tuple[int, int]:
    """Return the length written at this place, and where the content begins."""
    first = octets[at]
    if first < 0x80:
        return first, at + 1
    start = at + 1 + first - 0x80
    return int.from_bytes(octets[at + 1 : start]), start


def _message(message_id: int, operation: bytes) -> bytes:
    return _tlv(_SEQUENCE, _integer(message_id), operation)


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, bytes([value]))


def _tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    return bytes([tag, 0x82]) + size.to_bytes(2) + content
