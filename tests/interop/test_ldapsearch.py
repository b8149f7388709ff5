"""What real LDAP clients send, with OpenLDAP's ldapsearch and curl; the cases are named after the client."""

import base64
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from tests.directory.foreign import a_foreign_certificate, der
from tests.interop.programs import (
    CERTIFICATE,
    an_address,
    as_gateway,
    authorities,
    entries,
    ldapsearch,
    mint,
    run,
)
from tests.service import GATEWAY, SUFFIX, Running, succeed

Find = Callable[[str], str]


@pytest.fixture(scope="module")
def alice(program: Find, service: Running) -> tuple[str, bytes]:
    return mint(program, service)


def search(find: Find, service: Running, *arguments: str) -> list[dict[str, list[bytes]]]:
    done = ldapsearch(find("ldapsearch"), "-H", service.ldap, *arguments)
    assert done.returncode == 0, done.stderr
    return entries(done.stdout)


def test_l01_thunderbird_fetches_a_certificate(
    program: Find, service: Running, alice: tuple[str, bytes]
) -> None:
    address, certificate = alice

    found = search(
        program, service, "-b", SUFFIX, "-s", "sub", "-z", "2", f"(mail={address})", "usercertificate;binary"
    )

    assert [entry[CERTIFICATE] for entry in found] == [[certificate]]


def test_l02_thunderbird_fetches_for_two_recipients(program: Find, service: Running) -> None:
    (alice, hers), (bob, his) = mint(program, service), mint(program, service)

    found = search(
        program, service, "-b", SUFFIX, "-z", "4", f"(|(mail={alice})(mail={bob}))", "usercertificate;binary"
    )

    assert {value for entry in found for value in entry[CERTIFICATE]} == {hers, his}
    assert len(found) == 2


def test_l05_gpgsm_asks_under_the_empty_base(
    program: Find, service: Running, alice: tuple[str, bytes]
) -> None:
    address, certificate = alice

    found = search(program, service, "-b", "", "-s", "sub", f"(mail={address})")

    assert [entry[CERTIFICATE] for entry in found] == [[certificate]]


def test_l08_direct_java_asks_both_spellings_with_manage_dsa_it(
    program: Find, service: Running, alice: tuple[str, bytes]
) -> None:
    address, certificate = alice
    java = ["objectClass", "javaSerializedData", "javaClassName"]

    (root,) = search(
        program,
        service,
        *("-M", "-a", "always", "-b", "", "-s", "base", "(objectclass=*)", "namingContexts", *java),
    )
    found = search(
        program,
        service,
        *("-M", "-a", "always", "-b", SUFFIX, "-s", "sub", f"(mail={address})"),
        *("userCertificate", CERTIFICATE, *java),
    )

    assert root["namingContexts"] == [SUFFIX.encode()]
    assert [entry[CERTIFICATE] for entry in found] == [[certificate]]
    assert all("userCertificate" not in entry for entry in found)


@pytest.mark.parametrize("transport", ["ldaps", "starttls"])
def test_l12_a_gateway_asks_under_tls_and_mints(program: Find, service: Running, transport: str) -> None:
    address = an_address()
    url = service.ldaps if transport == "ldaps" else service.ldap
    trust = {"LDAPTLS_CACERT": str(service.installed.folder / "tls.crt"), "LDAPTLS_REQCERT": "demand"}

    done = ldapsearch(
        program("ldapsearch"),
        *("-H", url, *(["-ZZ"] if transport == "starttls" else []), *as_gateway(service)),
        *("-b", SUFFIX, f"(mail={address})", CERTIFICATE),
        variables=trust,
    )

    assert done.returncode == 0, done.stderr
    (entry,) = entries(done.stdout)
    certificate = x509.load_der_x509_certificate(entry[CERTIFICATE][0])
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.RFC822Name) == [address]


@pytest.mark.parametrize("credentials", ["gateway", "anonymous"])
def test_l15_what_must_not_be_minted_is_an_empty_success(
    program: Find, service: Running, credentials: str
) -> None:
    if credentials == "gateway":
        arguments = [*as_gateway(service), "-b", SUFFIX, "(mail=nobody@other.example)"]
    else:
        arguments = ["-b", SUFFIX, f"(mail={an_address()})"]

    assert search(program, service, *arguments, CERTIFICATE) == []


@pytest.mark.parametrize(
    ("asked", "attributes"),
    [
        (["1.1"], {"dn"}),
        (["*"], None),
        (["+"], None),
        (["*", "+"], None),
        (["userCertificate"], {"dn", CERTIFICATE}),
        (["USERCERTIFICATE"], {"dn", CERTIFICATE}),
        (["userCertificate", "userCertificate;binary"], {"dn", CERTIFICATE}),
    ],
)
def test_l17_attribute_selectors(
    program: Find,
    service: Running,
    alice: tuple[str, bytes],
    asked: list[str],
    attributes: set[str] | None,
) -> None:
    address, certificate = alice

    (entry,) = search(program, service, "-b", SUFFIX, f"(MAIL={address.upper()})", *asked)

    if attributes is not None:
        assert set(entry) == attributes
    elif "*" in asked:
        assert entry["mail"] == [address.encode()]
        assert entry[CERTIFICATE] == [certificate]
    else:
        assert CERTIFICATE not in entry
    assert "userCertificate" not in entry


def test_l21_curl(program: Find, service: Running, alice: tuple[str, bytes]) -> None:
    address, certificate = alice

    done = run([program("curl"), "-s", f"{service.ldap}/{SUFFIX}?{CERTIFICATE}?sub?(mail={address})"])

    assert done.returncode == 0, done.stderr
    assert certificate in done.stdout or base64.b64encode(certificate) in done.stdout


def test_a_wrong_token_is_refused_as_invalid_credentials(program: Find, service: Running) -> None:
    done = ldapsearch(
        program("ldapsearch"),
        *(
            "-H",
            service.ldap,
            "-D",
            f"cn=gw,ou=gateways,{SUFFIX}",
            "-w",
            "wrong",
            "-b",
            SUFFIX,
            "(mail=a@b.example)",
        ),
    )

    assert done.returncode == 49


def test_the_second_lookup_gives_the_same_certificate(program: Find, service: Running) -> None:
    address = an_address()

    assert mint(program, service, address) == mint(program, service, address)


def test_l03_thunderbird_with_a_filter_of_the_address_book(
    program: Find, service: Running, alice: tuple[str, bytes]
) -> None:
    address, certificate = alice

    found = search(
        program,
        service,
        *(
            "-b",
            SUFFIX,
            "-z",
            "2",
            f"(&(objectclass=inetOrgPerson)(mail={address}))",
            "usercertificate;binary",
        ),
    )

    assert [entry[CERTIFICATE] for entry in found] == [[certificate]]


@pytest.mark.parametrize(
    "autocompletion",
    [
        "(|(cn=*{0}*)(mail=*{0}*)(givenName=*{0}*)(sn=*{0}*))",
        "(|(sn=*{0}*)(|(cn=*{0}*)(mail=*{0}*)))",
        "(&(mail=*)(|(mail={0}*)(|(cn={0}*)(|(sn={0}*)(givenName={0}*)))))",
    ],
    ids=["l04 Thunderbird", "l06 Kleopatra", "l11 Outlook"],
)
def test_free_text_finds_a_known_recipient(
    program: Find, service: Running, alice: tuple[str, bytes], autocompletion: str
) -> None:
    address, _ = alice

    for asker in ((), as_gateway(service)):
        (entry,) = search(
            program, service, *asker, "-b", SUFFIX, "-z", "100", autocompletion.format(address), "mail"
        )
        assert entry["mail"] == [address.encode()]


@pytest.mark.parametrize(
    "autocompletion",
    [
        "(|(cn=*{0}*)(mail=*{0}*)(givenName=*{0}*)(sn=*{0}*))",
        "(&(mail=*)(|(mail={0}*)(|(cn={0}*)(|(sn={0}*)(givenName={0}*)))))",
    ],
    ids=["l04 Thunderbird", "l11 Outlook"],
)
def test_what_is_typed_mints_for_nobody(program: Find, service: Running, autocompletion: str) -> None:
    question = (*as_gateway(service), "-b", SUFFIX, autocompletion.format(an_address()))

    assert search(program, service, *question) == []


@pytest.mark.parametrize(
    ("scope", "question"),
    [("base", "(objectclass=*)"), ("sub", "objectClass=*")],
    ids=["base", "without parentheses"],
)
def test_l07_gpgsm_finds_an_issuer_by_its_name(
    program: Find, service: Running, scope: str, question: str
) -> None:
    for authority in authorities(program, service):
        name = authority.subject.rfc4514_string()
        content = authority.public_bytes(Encoding.DER)
        # It cuts the name so that it begins with CN.
        for base in {name, name[name.index("CN=") :]}:
            (entry,) = search(program, service, "-b", base, "-s", scope, question, "cACertificate")
            assert entry["cACertificate;binary"] == [content]


def test_l07_the_issuers_carry_the_lists_of_what_they_revoked(program: Find, service: Running) -> None:
    for authority in authorities(program, service):
        (entry,) = search(
            program,
            service,
            *("-b", authority.subject.rfc4514_string(), "-s", "base"),
            *("certificateRevocationList", "authorityRevocationList;binary"),
        )
        lists = [value for name, values in entry.items() if name.endswith("List;binary") for value in values]
        assert {x509.load_der_x509_crl(value).issuer for value in lists} == {authority.subject}


@pytest.fixture(scope="module")
def bound_to_a_domain(service: Running, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """A certificate of a domain's confidentiality authority (RFC 3183), which an operator has imported."""
    domain = f"{uuid.uuid4().hex[:12]}.example.com"
    file = tmp_path_factory.mktemp("domain") / "certificate.der"
    name = x509.RFC822Name(f"domain-confidentiality-authority@{domain}")
    content = der(a_foreign_certificate(name, not_after=datetime.now(UTC) + timedelta(days=9)))
    file.write_bytes(content)
    succeed("certificate", "import", str(file), "--config", str(service.installed.config))
    return domain, content


def test_l09_direct_finds_what_is_bound_to_a_domain(
    program: Find, service: Running, bound_to_a_domain: tuple[str, bytes]
) -> None:
    domain, certificate = bound_to_a_domain

    found = search(
        program,
        service,
        *("-M", "-a", "always", "-b", SUFFIX, "-s", "sub"),
        f"(&(mail={domain})(|(userCertificate;binary=*)(userCertificate=*)))",
        *("userCertificate", "userCertificate;binary"),
    )

    assert [entry[CERTIFICATE] for entry in found] == [[certificate]]


def test_l19_the_authority_of_a_domain_is_found_where_it_is_stored_and_never_minted(
    program: Find, service: Running, bound_to_a_domain: tuple[str, bytes]
) -> None:
    domain, certificate = bound_to_a_domain
    asker = (*as_gateway(service), "-b", SUFFIX)

    (stored,) = search(
        program, service, *asker, f"(mail=domain-confidentiality-authority@{domain})", CERTIFICATE
    )
    other = search(program, service, *asker, "(mail=domain-confidentiality-authority@other.example.com)")

    assert stored[CERTIFICATE] == [certificate]
    assert other == []


def test_l10_direct_in_net_asks_for_the_other_attribute(
    program: Find, service: Running, alice: tuple[str, bytes]
) -> None:
    address, certificate = alice
    asked = ("userSMIMECertificate", "userSMIMECertificate;binary")

    (entry,) = search(program, service, "-b", SUFFIX, "-s", "sub", f"(mail={address})", *asked)

    packages = [value for name in asked for value in entry.get(name, [])]
    assert packages
    for package in packages:
        assert certificate in {one.public_bytes(Encoding.DER) for one in load_der_pkcs7_certificates(package)}
    assert CERTIFICATE not in entry


def test_l13_evolution_reads_the_root_and_the_schema_and_copies_nobody(
    program: Find, service: Running
) -> None:
    (root,) = search(
        program,
        service,
        *("-b", "", "-s", "base", "(objectclass=*)", "supportedControl", "supportedExtension"),
        *("supportedFeatures", "supportedLDAPVersion", "subschemaSubentry", "schemaNamingContext"),
    )
    (schema,) = search(
        program,
        service,
        *(
            "-b",
            root["subschemaSubentry"][0].decode(),
            "-s",
            "base",
            "(objectClass=subschema)",
            "objectClasses",
        ),
    )
    copied = search(program, service, "-b", SUFFIX, "-E", "pr=1000/noprompt", "(cn=*)")

    assert root["supportedLDAPVersion"] == [b"3"]
    assert b"1.2.840.113556.1.4.319" in root["supportedControl"]
    assert any(b"'inetOrgPerson'" in one for one in schema["objectClasses"])
    assert not any(CERTIFICATE in entry for entry in copied)


def test_l14_a_path_builder_asks_at_the_name_of_the_recipient(
    program: Find, service: Running, alice: tuple[str, bytes]
) -> None:
    address, certificate = alice
    asked = (
        "crossCertificatePair;binary",
        "cACertificate;binary",
        "authorityRevocationList;binary",
        CERTIFICATE,
    )

    (entry,) = search(
        program, service, "-a", "always", "-b", f"CN={address}", "-s", "base", "(objectClass=*)", *asked
    )

    assert entry.keys() == {"dn", CERTIFICATE}
    assert entry[CERTIFICATE] == [certificate]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("-b", SUFFIX, "-E", "!1.2.3.4"), 12),
        (("-b", "dc=nope"), 32),
        (("-b", f"mail=nobody.here@example.com,ou=people,{SUFFIX}", "-s", "base"), 32),
    ],
    ids=["critical control", "unknown base", "unknown recipient"],
)
def test_l16_what_cannot_be_done_is_said(
    program: Find, service: Running, alice: tuple[str, bytes], arguments: tuple[str, ...], code: int
) -> None:
    address, _ = alice

    done = ldapsearch(program("ldapsearch"), "-H", service.ldap, *arguments, f"(mail={address})", "1.1")

    assert done.returncode == code


def test_l16_tls_that_is_there_already_cannot_be_started(program: Find, service: Running) -> None:
    done = ldapsearch(
        program("ldapsearch"),
        *("-H", service.ldaps, "-ZZ", "-b", "", "-s", "base"),
        variables={"LDAPTLS_CACERT": str(service.installed.folder / "tls.crt")},
    )

    assert done.returncode == 1
    assert b"ldap_start_tls" in done.stderr


def test_l18_types_only(program: Find, service: Running, alice: tuple[str, bytes]) -> None:
    address, _ = alice

    (entry,) = search(program, service, "-A", "-b", SUFFIX, f"(mail={address})", CERTIFICATE)

    assert entry.keys() == {"dn", CERTIFICATE}
    assert entry[CERTIFICATE] == [b""]


@pytest.mark.parametrize(
    "everything", ["(mail=*)", "(objectClass=*)", "(mail=*@example.com)", "(!(mail=a@b.c))"]
)
def test_l20_nobody_is_listed(
    program: Find, service: Running, alice: tuple[str, bytes], everything: str
) -> None:
    del alice  # somebody is there

    for asker in ((), as_gateway(service)):
        found = search(program, service, *asker, "-b", SUFFIX, everything, CERTIFICATE)
        assert not any(CERTIFICATE in entry for entry in found)


@pytest.mark.parametrize("mechanism", ["simple", "PLAIN"])
def test_the_gateway_is_told_who_it_is(program: Find, service: Running, mechanism: str) -> None:
    name, token = as_gateway(service)[1::2]
    manner = ("-x", "-D", name) if mechanism == "simple" else ("-Y", "PLAIN", "-U", GATEWAY, "-Q")

    done = run(
        [program("ldapwhoami"), "-H", service.ldaps, *manner, "-y", token],
        variables={"LDAPTLS_CACERT": str(service.installed.folder / "tls.crt")},
    )

    assert done.returncode == 0, done.stderr
    assert name.encode() in done.stdout


@pytest.mark.parametrize(("asserted", "code"), [("inetOrgPerson", 6), ("pkiCA", 5)])
def test_compare(program: Find, service: Running, alice: tuple[str, bytes], asserted: str, code: int) -> None:
    address, _ = alice

    name = f"mail={address},ou=people,{SUFFIX}"
    done = run([program("ldapcompare"), "-x", "-H", service.ldap, name, f"objectClass:{asserted}"])

    assert done.returncode == code
