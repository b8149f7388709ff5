"""How the LDAP listeners speak TLS, to s_client of openssl: at least 1.2, with forward secrecy."""

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from tests.interop.programs import run
from tests.service import Running

Find = Callable[[str], str]
LISTENERS = pytest.mark.parametrize("listener", ["ldaps", "starttls"])

_WEAK = {
    "without authentication": "aNULL",
    "without encryption": "eNULL",
    "without forward secrecy": "kRSA",
    "CBC with SHA-1": "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA",
    "ARIA and Camellia": "ARIA:CAMELLIA",
}


def s_client(
    find: Find, service: Running, listener: str, *options: str, data: bytes = b""
) -> CompletedProcess[bytes]:
    start = ("-starttls", "ldap") if listener == "starttls" else ()
    port = service.ports["ldap" if listener == "starttls" else "ldaps"]
    trust = ("-CAfile", str(service.installed.folder / "tls.crt"), "-verify_return_error")
    command = [find("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *start, *trust, *options]
    return run(command, data=data)


@LISTENERS
@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_tls_is_refused(program: Find, service: Running, listener: str, version: str) -> None:
    done = s_client(program, service, listener, f"-{version}", "-cipher", "ALL:@SECLEVEL=0")

    assert done.returncode != 0
    assert b"no protocols available" not in done.stderr, "this openssl cannot ask for it"
    assert b"Cipher is (NONE)" in done.stdout


@LISTENERS
@pytest.mark.parametrize(("version", "name"), [("tls1_2", b"TLSv1.2"), ("tls1_3", b"TLSv1.3")])
def test_tls_is_spoken_under_the_name_of_the_host(
    program: Find, service: Running, listener: str, version: str, name: bytes
) -> None:
    done = s_client(program, service, listener, f"-{version}", "-verify_hostname", "localhost")

    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    assert b"Verification: OK" in done.stdout
    assert b"Compression: NONE" in done.stdout


@LISTENERS
@pytest.mark.parametrize("ciphers", _WEAK.values(), ids=_WEAK)
def test_weak_ciphers_are_refused(program: Find, service: Running, listener: str, ciphers: str) -> None:
    done = s_client(program, service, listener, "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")

    assert done.returncode != 0
    assert b"no cipher match" not in done.stderr, "this openssl cannot ask for it"
    assert b"Cipher is (NONE)" in done.stdout


@LISTENERS
def test_renegotiation_is_refused(program: Find, service: Running, listener: str) -> None:
    # A line that is an R makes s_client ask for it.
    done = s_client(program, service, listener, "-tls1_2", data=b"R\n")

    assert b"RENEGOTIATING" in done.stderr
    assert b"no renegotiation" in done.stderr
    assert b"Secure Renegotiation IS supported" in done.stdout


@LISTENERS
def test_no_client_certificate_is_needed(program: Find, service: Running, listener: str) -> None:
    done = s_client(program, service, listener, "-tls1_3")

    assert done.returncode == 0, done.stderr
    assert b"Server public key is" in done.stdout
