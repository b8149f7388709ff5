"""What is the mint compared with? CFSSL, as Debian packages it: `cfssl serve` with a CA of its own.

Each question is a `newcert`: it makes a key, certifies it for the address, and returns both, as a service
that enrols somebody else must. It stores nothing, lints nothing, seals nothing and sends no mail.
"""

import http.client
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gateways import TIMEOUT_SECONDS
from bench.premises import NotInstalled, require
from bench.processes import free_port, wait_for_port

CA_BITS = 3072
"""As the issuing CA's of an installation of ours."""

_STOPS_WITHIN_SECONDS = 30.0
_POLICY = {
    "signing": {
        "default": {"expiry": f"{730 * 24}h", "usages": ["key encipherment", "email protection"]},
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cfssl:
    """CFSSL, serving."""

    pid: int
    port: int


class CfsslGateway:
    """A client that asks for new certificates, always over the same connection."""

    def __init__(self, server: Cfssl, *, bits: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
        self._key = {"algo": "rsa", "size": bits}

    def look_up(self, address: str) -> bytes:
        """Have a key made and certified for the address; return the certificate."""
        request = {"CN": address, "hosts": [address], "key": self._key}
        self._connection.request("POST", "/api/v1/cfssl/newcert", body=json.dumps({"request": request}))
        response = self._connection.getresponse()
        content = response.read()
        require(response.status == http.HTTPStatus.OK, f"newcert succeeds, here with {response.status}")
        result = json.loads(content)["result"]
        require(result["private_key"], "newcert returns a key")
        return ssl.PEM_cert_to_DER_cert(result["certificate"])

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextmanager
def cfssl(folder: Path) -> Iterator[Cfssl]:
    """Make a CA and serve it on a free port of loopback.

    Raises:
        NotInstalled: there is no CFSSL.
        PremiseBroken: it does not start.
    """
    program = shutil.which("cfssl")
    if program is None:
        raise NotInstalled("cfssl")
    folder.mkdir()
    certificate, key, policy = folder / "ca.pem", folder / "ca-key.pem", folder / "policy.json"
    made = _new_ca(program, folder)
    certificate.write_text(made["cert"], encoding="ascii")
    key.write_text(made["key"], encoding="ascii")
    policy.write_text(json.dumps(_POLICY), encoding="ascii")
    port = free_port()
    command = [
        *(program, "serve", "-address", "127.0.0.1", "-port", str(port), "-loglevel", "5"),
        *("-ca", str(certificate), "-ca-key", str(key), "-config", str(policy)),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - found above
        try:
            wait_for_port(port, process)
            yield Cfssl(pid=process.pid, port=port)
        finally:
            process.terminate()
            process.wait(_STOPS_WITHIN_SECONDS)


def version() -> str:
    """Return which CFSSL it is and what built it; nothing if there is none."""
    program = shutil.which("cfssl")
    if program is None:
        return "none"
    told = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout  # noqa: S603 - found above
    lines = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
    return f"{lines.get('Version', '?')}, {lines.get('Runtime', '?')}"


def _new_ca(program: str, folder: Path) -> dict[str, Any]:
    request = folder / "ca.json"
    request.write_text(
        json.dumps({"CN": "CA of a benchmark", "key": {"algo": "rsa", "size": CA_BITS}}), encoding="ascii"
    )
    command = [program, "gencert", "-loglevel", "5", "-initca", str(request)]
    made = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - found above
    document: dict[str, Any] = json.loads(made.stdout)
    return document
