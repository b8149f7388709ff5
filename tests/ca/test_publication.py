import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.errors import ProfileRefused
from ca.publication import Publication

KEY_ID = "00ff" * 10


def test_names_crl_and_certificate_by_the_issuers_key() -> None:
    publication = Publication("http://pki.example.com")
    assert publication.crl_url(KEY_ID) == f"http://pki.example.com/crl/{KEY_ID}.crl"
    assert publication.crl_url(KEY_ID, 12) == f"http://pki.example.com/crl/{KEY_ID}/12.crl"
    assert publication.certificate_url(KEY_ID) == f"http://pki.example.com/ca/{KEY_ID}.cer"
    assert publication.ocsp_url == "http://pki.example.com/ocsp"


def test_a_slash_at_the_end_makes_no_difference() -> None:
    assert Publication("http://pki.example.com/") == Publication("http://pki.example.com")


def test_accepts_a_port_and_a_path() -> None:
    assert (
        Publication("http://pki.example.com:8080/status").ocsp_url
        == "http://pki.example.com:8080/status/ocsp"
    )


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "pki.example.com",
        "https://pki.example.com",  # whoever judges the certificate of an https server needs the CRL first
        "ldap://pki.example.com",
        "file:///etc/passwd",
        "http://",
        "http://user:password@pki.example.com",
        "http://pki.example.com?x=1",
        "http://pki.example.com/?",
        "http://pki.example.com/#",
        "http://pki.example.com:port",
        "http://pki.example.com:99999",
        "http://pki.example.com/a b",
        "http://pki.example.com\n",
        "http://pki.exämple.com",
        "http://[pki.example.com",
        "http://localhost:8080",
        "http://localhost.",
        "http://127.0.0.1:8080",
        "http://[::1]/",
    ],
)
def test_refuses_what_no_recipient_could_fetch_from(base_url: str) -> None:
    with pytest.raises(ProfileRefused) as refused:
        Publication(base_url)
    assert refused.value.field == "base_url"


@given(st.text(max_size=40).map(lambda text: f"http://{text}"))
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    try:
        publication = Publication(text)
    except ProfileRefused:
        return
    assert publication.ocsp_url.startswith("http://")
    assert publication.ocsp_url.isascii()
