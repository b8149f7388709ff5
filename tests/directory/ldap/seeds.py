"""Requests of every kind, from which the fuzzer and Hypothesis make others."""

from pathlib import Path

from directory.ldap.ber import element
from directory.ldap.codes import MANAGE_DSA_IT, START_TLS, WHO_AM_I, RequestTag
from tests.directory.ldap.harness import HEADER
from tests.directory.ldap.memory import BIND_NAME, TOKEN
from tests.directory.ldap.wire import (
    DIRMNGR_ADDRESS,
    DIRMNGR_TEXT,
    JNDI_ROOT_DSE,
    THUNDERBIRD_BIND,
    THUNDERBIRD_SEARCH,
    abandon,
    and_,
    assertion,
    bind,
    bind_with_sasl,
    cancel,
    compare,
    controls,
    extended,
    extensible,
    mail,
    message,
    nested,
    not_,
    or_,
    page,
    present,
    search,
    substrings,
    unbind,
)

SEEDS = (
    THUNDERBIRD_BIND,
    THUNDERBIRD_SEARCH,
    DIRMNGR_ADDRESS,
    DIRMNGR_TEXT,
    JNDI_ROOT_DSE,
    bind(BIND_NAME, TOKEN),
    bind(BIND_NAME, "wrong"),
    bind_with_sasl("PLAIN", f"\0gw\0{TOKEN}".encode()),
    bind_with_sasl("EXTERNAL", b"u:gw"),
    bind_with_sasl("EXTERNAL"),
    search(mail("new@example.com")),
    search(or_(mail(), mail("bob@example.com")), controls=page(1), message_id=3),
    search(and_(present("objectClass"), not_(mail("b@example.com"))), attributes=("*", "+")),
    search(substrings("mail", "alice@example.com", initial="a", final="m"), types_only=True),
    search(extensible("alice@example.com", attribute="mail", rule="2.5.13.2", dn_attributes=True)),
    search(assertion(0xA5, "mail", "a"), controls=controls((MANAGE_DSA_IT, True), ("1.2.3", False))),
    search(nested(15), base="mail=alice@example.com,ou=people,o=directory", scope=0, message_id=70_000),
    search(present("objectClass"), base="cn=Subschema", scope=0, attributes=("objectClasses",)),
    compare("mail=alice@example.com,ou=people,o=directory"),
    extended(WHO_AM_I),
    extended(START_TLS),
    extended("1.2.3", b"value"),
    abandon(1),
    cancel(1),
    message(element(RequestTag.ADD, b"")),
    message(element(RequestTag.DELETE, b"o=directory")),
    unbind(),
)


def write_seeds(folder: Path) -> None:
    """Write each as a file, behind a header of its own."""
    for number, seed in enumerate(SEEDS):
        header = bytes((number % 64, number)).ljust(HEADER, b"\0")
        (folder / f"seed-{number}").write_bytes(header + seed)
