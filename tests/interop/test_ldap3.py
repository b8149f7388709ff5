"""ldap3, as Python programs use it: with the schema read first, and every name checked against it."""

import ssl
from collections.abc import Iterator

import ldap3
import pytest
from ldap3.core.exceptions import LDAPAttributeError, LDAPOperationResult
from ldap3.core.results import RESULT_UNWILLING_TO_PERFORM

from tests.interop.programs import CERTIFICATE, an_address
from tests.service import GATEWAY, SUFFIX, Running

# It checks the name of the host itself, with what Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.match_hostname:DeprecationWarning")

GATEWAY_NAME = f"cn={GATEWAY},ou=gateways,{SUFFIX}"


@pytest.fixture(params=["clear", "ldaps", "starttls"])
def connection(request: pytest.FixtureRequest, service: Running) -> Iterator[ldap3.Connection]:
    manner = request.param
    trust = ldap3.Tls(
        ca_certs_file=str(service.installed.folder / "tls.crt"),
        validate=ssl.CERT_REQUIRED,
        version=ssl.PROTOCOL_TLS_CLIENT,
        sni="localhost",
    )
    port = service.ports["ldaps" if manner == "ldaps" else "ldap"]
    server = ldap3.Server("localhost", port, use_ssl=manner == "ldaps", tls=trust, get_info=ldap3.ALL)
    connection = ldap3.Connection(
        server,
        GATEWAY_NAME,
        service.installed.gateway_token,
        check_names=True,
        raise_exceptions=True,
        receive_timeout=10,
        auto_bind=ldap3.AUTO_BIND_TLS_BEFORE_BIND if manner == "starttls" else ldap3.AUTO_BIND_NO_TLS,
    )
    yield connection
    connection.unbind()


def test_a_certificate_is_minted_and_found(connection: ldap3.Connection) -> None:
    address = an_address()

    for _ in range(2):
        connection.search(SUFFIX, f"(mail={address})", attributes=["mail", CERTIFICATE])
        (entry,) = connection.entries
        assert entry.entry_dn == f"mail={address},ou=people,{SUFFIX}"
        assert entry.mail.value == address
        assert len(entry[CERTIFICATE].raw_values) == 1


def test_the_server_describes_itself(connection: ldap3.Connection) -> None:
    info, schema = connection.server.info, connection.server.schema

    assert info.naming_contexts == [SUFFIX]
    assert info.supported_ldap_versions == ["3"]
    assert {"inetOrgPerson", "pkiUser", "pkiCA", "organizationalUnit", "dcObject", "domain"} <= set(
        schema.object_classes
    )
    assert {"mail", "cn", "sn", "givenName", "userCertificate", "cACertificate"} <= set(
        schema.attribute_types
    )


def test_a_name_that_is_not_in_the_schema_is_refused_by_the_client(connection: ldap3.Connection) -> None:
    with pytest.raises(LDAPAttributeError):
        connection.search(SUFFIX, "(noSuchAttribute=x)")


def test_the_gateway_is_told_who_it_is(connection: ldap3.Connection) -> None:
    assert connection.extend.standard.who_am_i() == f"dn:{GATEWAY_NAME}"


def test_answers_come_page_by_page(connection: ldap3.Connection) -> None:
    addresses = [an_address(), an_address(), an_address()]
    for address in addresses:
        connection.search(SUFFIX, f"(mail={address})", attributes=[CERTIFICATE])
    asked = "(|" + "".join(f"(mail={address})" for address in addresses) + ")"

    found = connection.extend.standard.paged_search(
        SUFFIX, asked, attributes=["mail"], paged_size=1, generator=False
    )

    assert sorted(entry["attributes"]["mail"][0] for entry in found) == sorted(addresses)


def test_attributes_are_compared(connection: ldap3.Connection) -> None:
    address = an_address()
    connection.search(SUFFIX, f"(mail={address})", attributes=[CERTIFICATE])
    name = f"mail={address},ou=people,{SUFFIX}"

    assert connection.compare(name, "mail", address.upper())
    assert not connection.compare(name, "mail", "somebody.else@example.com")


@pytest.mark.parametrize("write", ["add", "delete", "modify"])
def test_nothing_can_be_written(connection: ldap3.Connection, write: str) -> None:
    name = f"mail=new@example.com,ou=people,{SUFFIX}"
    arguments = {
        "add": (name, "inetOrgPerson", {"cn": "x", "sn": "x"}),
        "delete": (name,),
        "modify": (name, {"sn": [(ldap3.MODIFY_REPLACE, ["x"])]}),
    }[write]

    with pytest.raises(LDAPOperationResult) as refused:
        getattr(connection, write)(*arguments)

    assert refused.value.result == RESULT_UNWILLING_TO_PERFORM
