"""What is the service compared with? OpenLDAP's slapd, as Debian installs it, holding the same certificates.

The configuration is Debian's (`/usr/share/slapd/slapd.init.ldif`), back-mdb with the index on `mail` that
this use needs, four threads, and a gateway that binds. It listens on loopback and keeps its data in a folder
that is removed afterwards.
"""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateways import bind_request
from bench.premises import NotInstalled
from bench.processes import free_port, wait_for_port
from bench.stock import Stock
from tests.service import GATEWAY, SUFFIX

THREADS = 4

_PASSWORD = "a gateway of a benchmark"  # noqa: S105 - of a server on loopback, for some minutes
_STOPS_WITHIN_SECONDS = 30.0
_OCTETS_PER_ENTRY = 16 * 1024
"""Of the file's limit; what is not used costs nothing."""

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
loglevel none
sizelimit 500
threads {threads}
tool-threads {threads}
database mdb
suffix "{suffix}"
directory {folder}/data
maxsize {octets}
checkpoint 512 30
lastmod on
index objectClass eq
index mail eq
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
"""

_TREE = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=gateways,{SUFFIX}
objectClass: organizationalUnit
ou: gateways

dn: cn={GATEWAY},ou=gateways,{SUFFIX}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: {GATEWAY}
userPassword: {_PASSWORD}

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slapd:
    """slapd, running."""

    pid: int
    port: int
    bind: bytes = field(default=bind_request(_PASSWORD), repr=False)


@contextmanager
def slapd(stock: Stock, folder: Path) -> Iterator[Slapd]:
    """Load the stock and serve it on a free port of loopback.

    Raises:
        NotInstalled: there is no slapd.
        PremiseBroken: it does not start.
    """
    program = _program()
    data = folder / "data"
    data.mkdir(parents=True)
    configuration = folder / "slapd.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            suffix=SUFFIX,
            threads=THREADS,
            octets=max(1 << 30, stock.size * _OCTETS_PER_ENTRY),
        ),
        encoding="ascii",
    )
    _add(program, configuration, stock, folder / "entries.ldif")
    port = free_port()
    # -d keeps it in the foreground.
    command = [program, "-d", "0", "-h", f"ldap://127.0.0.1:{port}", "-f", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - found above
        try:
            wait_for_port(port, process)
            yield Slapd(pid=process.pid, port=port)
        finally:
            process.terminate()
            process.wait(_STOPS_WITHIN_SECONDS)


def _program() -> str:
    program = shutil.which("slapd", path="/usr/local/sbin:/usr/sbin:/usr/bin")
    if program is None:
        raise NotInstalled("slapd")
    return program


def _add(program: str, configuration: Path, stock: Stock, file: Path) -> None:
    with file.open("w", encoding="ascii") as ldif:
        ldif.write(_TREE)
        for one in stock:
            ldif.write(
                f"dn: mail={one.address},ou=people,{SUFFIX}\n"
                "objectClass: inetOrgPerson\n"
                f"cn: {one.address}\nsn: {one.address}\nmail: {one.address}\n"
                f"userCertificate;binary:: {base64.b64encode(one.der).decode()}\n\n"
            )
    # One program under several names: it takes its first argument for the name.
    command = [program, "-T", "add", "-q", "-f", str(configuration), "-l", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - found above
    file.unlink()
