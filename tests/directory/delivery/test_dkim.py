import re
from dataclasses import replace
from functools import cache

import dkim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.address import Mailbox
from ca.errors import SealBroken
from ca.sealing import MasterKey, MasterKeyring, SealedSecret, Sealer, SecretIdentity
from directory.delivery.dkim import DkimSigner
from directory.delivery.dkim_keys import DkimAlgorithm, generate_key, record_name, record_of
from directory.organization import Correspondence, Dkim, Organization, dkim_key_identity
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import a_sealer

MESSAGE = (
    b'From: "Hospital" <keys@hospital.org>\r\n'
    b"To: anna@example.org\r\n"
    b"Subject: =?utf-8?q?Ihr_Schl=C3=BCssel?=\r\n"
    b" =?utf-8?q?_ist_da?=\r\n"
    b"Date: Sun, 22 Nov 2026 09:30:00 +0000\r\n"
    b"Message-ID: <1.key@hospital.org>\r\n"
    b"Auto-Submitted: auto-generated\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\n"
    b"\r\n"
    b"hello  \t there\r\n.\r\n\r\n\r\n"
)


@cache
def _made(algorithm: DkimAlgorithm) -> bytes:
    return generate_key(algorithm)


def a_key(algorithm: DkimAlgorithm = DkimAlgorithm.RSA) -> bytes:
    """Return a PEM key, always the same."""
    return _made(algorithm)


class CountingSealer(Sealer):
    """A sealer that counts what it has opened."""

    def __init__(self) -> None:
        super().__init__(MasterKeyring(active=MasterKey(key_id="master-1", material=bytes(range(32)))))
        self.opened = 0

    def unseal(self, sealed: SealedSecret, identity: SecretIdentity) -> bytes:
        self.opened += 1
        return super().unseal(sealed, identity)


def a_signing_organization(
    algorithm: DkimAlgorithm = DkimAlgorithm.RSA, *, sealed_for: str | None = None
) -> Organization:
    organization = an_organization()
    identity = dkim_key_identity(sealed_for or organization.organization_id)
    signing = Dkim(selector="keys2026", sealed_key=a_sealer().seal(a_key(algorithm), identity))
    mail_from = Mailbox.parse("keys@hospital.org")
    return replace(organization, mail_from=mail_from, correspondence=Correspondence(dkim=signing))


def verifies(message: bytes, algorithm: DkimAlgorithm = DkimAlgorithm.RSA) -> bool:
    def answer(name: bytes | str, timeout: int = 5) -> bytes:
        del timeout
        text = name.decode() if isinstance(name, bytes) else name
        assert text.removesuffix(".") == record_name("keys2026", "hospital.org")
        return record_of(a_key(algorithm)).encode()

    return bool(dkim.verify(message, dnsfunc=answer))


@pytest.mark.parametrize("algorithm", DkimAlgorithm)
def test_a_signed_message_verifies(algorithm: DkimAlgorithm) -> None:
    signed = DkimSigner(a_sealer()).sign(a_signing_organization(algorithm), MESSAGE)
    assert signed.endswith(MESSAGE)
    assert verifies(signed, algorithm)


@pytest.mark.parametrize("algorithm", DkimAlgorithm)
def test_an_address_in_utf8_is_signed_octet_for_octet(algorithm: DkimAlgorithm) -> None:
    message = MESSAGE.replace(b"anna@", "jörg用户@".encode())
    signed = DkimSigner(a_sealer()).sign(a_signing_organization(algorithm), message)
    assert signed[: -len(message)].isascii()
    assert verifies(signed, algorithm)
    assert not verifies(signed.replace("jörg".encode(), b"jorg"), algorithm)


def test_the_signing_domain_is_that_of_from_and_the_body_has_no_length() -> None:
    signed = DkimSigner(a_sealer()).sign(a_signing_organization(), MESSAGE)
    field = signed[: -len(MESSAGE)]
    assert b"d=hospital.org; s=keys2026;" in field
    assert re.search(rb"[;\s][ltx]=", field) is None
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))


@pytest.mark.parametrize(
    "added",
    [
        b"From: somebody@else.example",
        b"Subject: another",
        b"Reply-To: thief@else.example",
        b"Cc: thief@else.example",
        b"Content-Type: text/html",
        b"List-Unsubscribe: <https://thief.else.example/>",
    ],
)
def test_a_field_that_is_added_breaks_the_signature(added: bytes) -> None:
    signed = DkimSigner(a_sealer()).sign(a_signing_organization(), MESSAGE)
    assert not verifies(added + b"\r\n" + signed)
    head, _, body = signed.partition(b"\r\n\r\n")
    assert not verifies(head + b"\r\n" + added + b"\r\n\r\n" + body)


def test_what_is_appended_to_the_body_breaks_the_signature() -> None:
    signed = DkimSigner(a_sealer()).sign(a_signing_organization(), MESSAGE)
    assert not verifies(signed + b"and more\r\n")


def test_survives_what_mail_servers_do_on_the_way() -> None:
    signed = DkimSigner(a_sealer()).sign(a_signing_organization(), MESSAGE)
    refolded = signed.replace(b"\r\n =?utf-8?q?_ist", b"\r\n\t =?utf-8?q?_ist").replace(b"To: ", b"TO:  ")
    assert verifies(b"Received: from here by there; now\r\n" + refolded)


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200),
    st.text(st.sampled_from("ab \t.\r\n"), max_size=60),
)
def test_whatever_is_written_verifies(subject: str, body: str) -> None:
    lines = "\r\n".join(body.splitlines())
    message = b"From: keys@hospital.org\r\nSubject: %s\r\n\r\n%s\r\n" % (subject.encode(), lines.encode())
    assert verifies(DkimSigner(a_sealer()).sign(a_signing_organization(), message))


def test_without_a_key_the_message_stays_as_it_is() -> None:
    assert DkimSigner(a_sealer()).sign(an_organization(), MESSAGE) == MESSAGE


def test_a_key_sealed_for_another_organization_does_not_open() -> None:
    with pytest.raises(SealBroken):
        DkimSigner(a_sealer()).sign(a_signing_organization(sealed_for="org-2"), MESSAGE)


def test_a_key_that_was_replaced_signs_no_more() -> None:
    signer = DkimSigner(a_sealer())
    before, after = DkimAlgorithm.RSA, DkimAlgorithm.ED25519

    assert verifies(signer.sign(a_signing_organization(before), MESSAGE), before)
    assert verifies(signer.sign(a_signing_organization(after), MESSAGE), after)


def test_a_key_that_is_known_is_still_one_organizations_alone() -> None:
    signer = DkimSigner(a_sealer())
    organization = a_signing_organization()
    signer.sign(organization, MESSAGE)

    with pytest.raises(SealBroken):
        signer.sign(replace(organization, organization_id="another"), MESSAGE)


def test_a_key_is_opened_once() -> None:
    sealer = CountingSealer()
    signer, organization = DkimSigner(sealer), a_signing_organization()

    for _ in range(3):
        assert verifies(signer.sign(organization, MESSAGE))

    assert sealer.opened == 1
