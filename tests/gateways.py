"""A gateway as a client: what it asks over LDAP and HTTP, with clients that are not ours."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException

from tests.service import GATEWAY, SUFFIX, Running

TIMEOUT_SECONDS = 20
CERTIFICATE = "userCertificate;binary"


@contextmanager
def ldap_connection(running: Running, *, bound: bool = True) -> Iterator[ldap3.Connection]:
    """Connect with ldap3; bound as the gateway, or not at all."""
    server = ldap3.Server(
        "127.0.0.1", port=running.ports["ldap"], get_info=ldap3.NONE, connect_timeout=TIMEOUT_SECONDS
    )
    connection = ldap3.Connection(
        server,
        user=f"cn={GATEWAY},ou=gateways,{SUFFIX}" if bound else None,
        password=running.installed.gateway_token if bound else None,
        receive_timeout=TIMEOUT_SECONDS,
        check_names=False,
    )
    try:
        if bound:
            assert connection.bind(), connection.result
        else:
            connection.open()
        yield connection
    finally:
        # ldap3 leaves its socket open when the other side is gone.
        with suppress(LDAPException):
            connection.unbind()
        if connection.socket is not None:
            connection.socket.close()


def certificates_of(connection: ldap3.Connection, address: str) -> list[bytes]:
    """Ask over an open connection for one address; return the certificates."""
    connection.search(SUFFIX, f"(mail={address})", attributes=[CERTIFICATE], size_limit=2)
    return [
        value for entry in connection.response or [] for value in entry["raw_attributes"].get(CERTIFICATE, [])
    ]


def look_up(running: Running, address: str) -> list[bytes]:
    """Ask over LDAP for one address; return the certificates."""
    with ldap_connection(running) as connection:
        return certificates_of(connection, address)


def call(
    running: Running, method: str, path: str, *, token: str | None = None, body: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Call the JSON API; return status and document."""
    connection = http.client.HTTPConnection("127.0.0.1", running.ports["http"], timeout=TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    return response.status, json.loads(content)


def metrics_page(running: Running) -> str:
    """Return what a monitor of the operator reads."""
    connection = http.client.HTTPConnection("127.0.0.1", running.ports["http"], timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()
