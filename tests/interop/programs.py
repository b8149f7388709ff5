"""Running other people's programs against the service, and reading what they print."""

import base64
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence

from cryptography import x509

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


def an_address() -> str:
    """Return an address that nobody has asked for."""
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def mint(find: Callable[[str], str], running: Running, address: str | None = None) -> tuple[str, bytes]:
    """Have a certificate minted, for whom does not matter if nobody says; return address and certificate."""
    wanted = address or an_address()
    done = ldapsearch(
        find("ldapsearch"),
        *("-H", running.ldap, *as_gateway(running), "-b", SUFFIX, f"(mail={wanted})", CERTIFICATE),
    )
    assert done.returncode == 0, done.stderr
    (entry,) = entries(done.stdout)
    return wanted, entry[CERTIFICATE][0]


def authorities(find: Callable[[str], str], running: Running) -> list[x509.Certificate]:
    """Return the certificates of the service's authority, the issuing one first."""
    done = run([find("curl"), "-s", "--fail", f"{running.http}/ca/chain.pem"])
    assert done.returncode == 0, done.stderr
    return x509.load_pem_x509_certificates(done.stdout)


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
