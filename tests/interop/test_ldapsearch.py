"""What real LDAP clients send, with OpenLDAP's ldapsearch and curl; the cases are named after the client."""

import uuid
from collections.abc import Callable

import pytest
from cryptography import x509

from tests.interop.programs import CERTIFICATE, as_gateway, entries, ldapsearch, run
from tests.service import SUFFIX, Running

Find = Callable[[str], str]


def an_address() -> str:
    return f"p{uuid.uuid4().hex[:12]}@example.com"


def mint(find: Find, service: Running, address: str) -> bytes:
    done = ldapsearch(
        find("ldapsearch"),
        *("-H", service.ldap, *as_gateway(service), "-b", SUFFIX, f"(mail={address})", CERTIFICATE),
    )
    assert done.returncode == 0, done.stderr
    (entry,) = entries(done.stdout)
    return entry[CERTIFICATE][0]


@pytest.fixture(scope="module")
def alice(program: Find, service: Running) -> tuple[str, bytes]:
    address = an_address()
    return address, mint(program, service, address)


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
    alice, bob = an_address(), an_address()
    certificates = {mint(program, service, alice), mint(program, service, bob)}

    found = search(
        program, service, "-b", SUFFIX, "-z", "4", f"(|(mail={alice})(mail={bob}))", "usercertificate;binary"
    )

    assert {value for entry in found for value in entry[CERTIFICATE]} == certificates
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
    assert certificate in done.stdout or _base64_of(certificate) in done.stdout


def _base64_of(certificate: bytes) -> bytes:
    import base64  # noqa: PLC0415 - only here

    return base64.b64encode(certificate)


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
