"""Keys that sign mail, and the records that show them."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from directory.delivery.dkim_keys import (
    DkimAlgorithm,
    check_selector,
    generate_key,
    read_key,
    record_name,
    record_of,
    zone_line,
)
from directory.errors import ConfigurationRefused


def test_refuses_a_weak_key_and_what_is_none() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for unusable in (pem, b"nothing"):
        with pytest.raises(ConfigurationRefused):
            read_key(unusable)


@pytest.mark.parametrize("selector", ["keys2026", "a", "k1.mail", "x" * 63])
def test_takes_a_selector(selector: str) -> None:
    assert check_selector(selector) == selector


@pytest.mark.parametrize("selector", ["", "Keys", "a b", "-a", "a-", "a..b", "k;", "x" * 64, "ü"])
def test_refuses_what_is_no_selector(selector: str) -> None:
    with pytest.raises(ConfigurationRefused):
        check_selector(selector)


def test_a_long_record_is_written_in_several_strings() -> None:
    key = generate_key(DkimAlgorithm.RSA)

    line = zone_line(record_name("keys2026", "hospital.org"), record_of(key))

    strings = re.findall(r'"([^"]*)"', line)
    assert line.startswith("keys2026._domainkey.hospital.org. IN TXT ")
    assert max(map(len, strings)) <= 255
    assert "".join(strings) == record_of(key)
