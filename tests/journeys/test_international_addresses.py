"""Addresses beyond ASCII, from the question to the opened key package; and the ways to be refused."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from tests.databases import Databases
from tests.directory.bounces.builders import a_notification
from tests.gateways import TIMEOUT_SECONDS, call, certificates_of, ldap_connection, look_up
from tests.journeys.test_bounces import hand_over, return_path
from tests.postbox import Postbox, postbox
from tests.service import SUFFIX, UNHURRIED, Installed, Running, install, serving, succeed

ALLOWED = {
    **UNHURRIED,
    "PUSHPKI_CA__INTERNATIONAL_LOCAL_PARTS": "true",
    "PUSHPKI_CA__KEY_POOL_SIZE": "2",
    "PUSHPKI_BOUNCES__LISTEN": "127.0.0.1:0",
}
FORBIDDEN = {**ALLOWED, "PUSHPKI_CA__INTERNATIONAL_LOCAL_PARTS": "false"}
DESK = "desk@hospital.org"
LOCAL_PARTS = ("jörg", "用户", "Ünal.Öz+x")


@pytest.fixture(params=[True, False], ids=["SMTPUTF8 offered", "not offered"])
def offers_smtputf8(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def mail(offers_smtputf8: bool) -> Iterator[Postbox]:  # noqa: FBT001 - a fixture
    with postbox(offers_smtputf8=offers_smtputf8) as opened:
        yield opened


@pytest.fixture
def database(request: pytest.FixtureRequest, databases: Databases) -> str | None:
    """Where everything is kept: as the test says, else where it is by default."""
    return databases.empty(request.param) if hasattr(request, "param") else None


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory, mail: Postbox, database: str | None) -> Installed:
    folder = tmp_path_factory.mktemp("international") / "pushpki"
    made = install(folder, smtp=mail.smtp, database=database)
    succeed("org", "set", "hospital", "--notices-to", DESK, "--config", str(made.config))
    return made


def an_address(local_part: str) -> str:
    return f"{local_part}{uuid.uuid4().hex[:8]}@example.com"


def ask(running: Running, address: str) -> tuple[int, dict[str, str]]:
    body = {"email": address}
    return call(running, "POST", "/api/v1/lookup", token=running.installed.gateway_token, body=body)


def fetched(running: Running, address: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", running.ports["http"], timeout=TIMEOUT_SECONDS)
    with closing(connection):
        headers = {"Authorization": f"Bearer {running.installed.gateway_token}"}
        connection.request("GET", f"/certificates?uri={quote(address)}", headers=headers)
        response = connection.getresponse()
        return response.status, response.read()


def the_enrolment(running: Running, address: str) -> dict[str, str]:
    _, listed = call(running, "GET", "/api/v1/enrolments", token=running.installed.agent_token)
    (enrolment,) = [one for one in listed["enrolments"] if one["address"] == address]
    return dict(enrolment)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("offers_smtputf8", [True], indirect=True)
def test_a_key_arrives_and_opens(installed: Installed, mail: Postbox) -> None:
    with serving(installed, variables=ALLOWED) as running:
        for local_part in LOCAL_PARTS:
            address = an_address(local_part)
            (certificate,) = look_up(running, address)

            # The same over all ways, in another ASCII case, and under the name that the certificate has.
            found = ask(running, address.replace("example.com", "EXAMPLE.com"))
            assert (found[0], found[1]["address"]) == (200, address)
            assert fetched(running, address) == (200, certificate)
            with ldap_connection(running) as connection:
                assert certificates_of(connection, address) == [certificate]
                value = address.replace("+", r"\+")
                for base in (f"CN={value}", f"mail={value},ou=people,{SUFFIX}"):
                    connection.search(base, "(objectClass=*)", search_scope="BASE", attributes=["mail"])
                    (entry,) = connection.response
                    assert entry["raw_attributes"]["mail"] == [address.encode()]

            names = x509.load_der_x509_certificate(certificate).extensions
            alternative = names.get_extension_for_class(x509.SubjectAlternativeName).value
            (name,) = alternative
            assert isinstance(name, x509.OtherName)
            assert (name.type_id.dotted_string, name.value[2:].decode()) == ("1.3.6.1.5.5.7.8.9", address)

            message = mail.message_to(address)
            assert mail.smtputf8[str(message["Message-ID"])]
            enrolment = the_enrolment(running, address)
            reveal = f"/api/v1/enrolments/{enrolment['enrolment_id']}/password/reveal"
            _, revealed = call(running, "POST", reveal, token=installed.agent_token, body={})
            (attachment,) = message.iter_attachments()
            key, certified, _ = pkcs12.load_key_and_certificates(
                attachment.get_content(), revealed["password"].encode()
            )
            assert key is not None
            assert certified is not None
            assert certified.public_bytes(Encoding.DER) == certificate
            assert key.public_key() == certified.public_key()
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


@pytest.mark.parametrize("offers_smtputf8", [True], indirect=True)
def test_others_get_their_mail_as_before(installed: Installed, mail: Postbox) -> None:
    address = an_address("anna")
    with serving(installed, variables=ALLOWED) as running:
        (certificate,) = look_up(running, address)
        message = mail.message_to(address)
    assert not mail.smtputf8[str(message["Message-ID"])]
    assert mail.raw[-1].isascii()
    names = x509.load_der_x509_certificate(certificate).extensions
    alternative = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative == x509.SubjectAlternativeName([x509.RFC822Name(address)])


@pytest.mark.parametrize("offers_smtputf8", [True], indirect=True)
def test_a_bounce_is_understood(installed: Installed, mail: Postbox) -> None:
    address = an_address("jörg")
    with serving(installed, variables=ALLOWED) as running:
        look_up(running, address)
        key_mail = mail.message_to(address)
        path = return_path(installed, str(key_mail["Message-ID"]))
        notification = a_notification(recipient=address, international=True)
        hand_over(running, path, notification)
        assert the_enrolment(running, address)["delivery"] == "bounced"
        assert address in str(mail.message_to(DESK)["Subject"])

        succeed("bounce", "clear", address, "--config", str(installed.config))
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


@pytest.mark.parametrize("offers_smtputf8", [False], indirect=True)
def test_a_server_without_smtputf8_is_a_bounce_and_the_agents_are_told(
    installed: Installed, mail: Postbox
) -> None:
    address = an_address("jörg")
    with serving(installed, variables=ALLOWED) as running:
        assert look_up(running, address)
        notice = mail.message_to(DESK)
        enrolment = the_enrolment(running, address)
        assert (enrolment["delivery"], enrolment["relay"]) == ("bounced", "failed")
        assert "5.6.7" in enrolment["last_failure"]
        assert "SMTPUTF8" in enrolment["last_failure"]
        assert address in str(notice["Subject"])
        status, refused = ask(running, address)
        assert (status, refused["code"]) == (404, "policy.bounced")
    assert [message for message in mail.raw if b"p12" in message] == []
    log = (installed.folder / "serve.log").read_text(encoding="utf-8")
    assert address not in log
    assert succeed("verify", "--config", str(installed.config)) == {"violations": []}


@pytest.mark.parametrize("offers_smtputf8", [True], indirect=True)
def test_they_are_refused_unless_the_operator_allows_them(installed: Installed, mail: Postbox) -> None:
    address = an_address("jörg")
    with serving(installed, variables=FORBIDDEN) as running:
        status, refused = ask(running, address)
        assert (status, refused["code"]) == (404, "policy.international_local_part")
        status, document = fetched(running, address)
        assert (status, json.loads(document)["code"]) == (404, "policy.international_local_part")
        with ldap_connection(running) as connection:
            assert certificates_of(connection, address) == []
            assert connection.result["description"] == "success"
    assert mail.raw == []
