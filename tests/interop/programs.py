"""Running other people's programs against the service, and reading what they print."""

import base64
import subprocess
from collections.abc import Mapping, Sequence

from tests.service import GATEWAY, SUFFIX, Running

CERTIFICATE = "userCertificate;binary"


def run(
    command: Sequence[str], *, variables: Mapping[str, str] | None = None, data: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program with no more environment than it needs."""
    return subprocess.run(  # noqa: S603 - the programs of this suite
        list(command),
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(variables or {})},
    )


def ldapsearch(
    program: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ldapsearch as OpenLDAP's users do; without -D it binds anonymously."""
    return run([program, "-x", "-LLL", "-o", "ldif_wrap=no", *arguments], variables=variables)


def as_gateway(running: Running) -> tuple[str, ...]:
    """Return the options of a bind as the gateway; the token is in a file, not on the command line."""
    token_file = running.installed.folder / "gateway.token"
    if not token_file.exists():
        token_file.touch(mode=0o600)
        token_file.write_text(running.installed.gateway_token, encoding="ascii")
    return ("-D", f"cn={GATEWAY},ou=gateways,{SUFFIX}", "-y", str(token_file))


def entries(output: bytes) -> list[dict[str, list[bytes]]]:
    """Read LDIF (RFC 2849) as ldapsearch prints it unwrapped."""
    found: list[dict[str, list[bytes]]] = []
    entry: dict[str, list[bytes]] = {}
    for line in [*output.decode().splitlines(), ""]:
        if not line:
            if entry:
                found.append(entry)
            entry = {}
            continue
        name, _, value = line.partition(":")
        decoded = base64.b64decode(value[1:]) if value.startswith(":") else value.strip().encode()
        entry.setdefault(name, []).append(decoded)
    return found
