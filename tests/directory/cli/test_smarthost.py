"""What `--smtp URL` means, and what of it is never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.cli.smarthost import parse_smart_host, refuse_clear_beyond_loopback
from directory.errors import ConfigurationRefused
from directory.organization import SmartHost, SmtpSecurity


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, SmtpSecurity.STARTTLS, None)),
        ("smtp://mail.example.org:25", ("mail.example.org", 25, SmtpSecurity.STARTTLS, None)),
        ("smtp://mailer@mail.example.org", ("mail.example.org", 587, SmtpSecurity.STARTTLS, "mailer")),
        ("smtps://mail.example.org", ("mail.example.org", 465, SmtpSecurity.IMPLICIT, None)),
        ("smtps://a%40b@mail.example.org/", ("mail.example.org", 465, SmtpSecurity.IMPLICIT, "a@b")),
        ("SMTP://Mail.Example.ORG", ("mail.example.org", 587, SmtpSecurity.STARTTLS, None)),
        ("smtp+clear://mail.example.org", ("mail.example.org", 25, SmtpSecurity.CLEAR, None)),
        ("smtp://127.0.0.1:2525", ("127.0.0.1", 2525, SmtpSecurity.CLEAR, None)),
        ("smtp://localhost:2525", ("localhost", 2525, SmtpSecurity.CLEAR, None)),
        ("smtp://[::1]:2525", ("::1", 2525, SmtpSecurity.CLEAR, None)),
        ("smtp://[2001:db8::1]", ("2001:db8::1", 587, SmtpSecurity.STARTTLS, None)),
        ("smtps://127.0.0.1", ("127.0.0.1", 465, SmtpSecurity.IMPLICIT, None)),
    ],
)
def test_says_where_and_how_securely(url: str, expected: tuple[str, int, SmtpSecurity, str | None]) -> None:
    host, port, security, username = expected

    assert parse_smart_host(url) == SmartHost(host=host, port=port, security=security, username=username)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://user@",
        "smtp://mail.example.org/path",
        "smtp://mail.example.org?tls=no",
        "smtp://mail.example.org#x",
        "smtp://mail.example.org:0",
        "smtp://mail.example.org:65536",
        "smtp://mail.example.org:x",
        "smtp://[::1",
        "smtp://ma il",
        "smtp://mail\nexample.org",
        "smtp://-mail.example.org",
        "smtp://mail..example.org",
        "smtp://mäil.example.org",
        "smtp://a%0ab@mail.example.org",
    ],
)
def test_refuses_what_is_no_smart_host(url: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        parse_smart_host(url)

    assert refused.value.key == "--smtp"
    assert "smtp://[USER@]HOST[:PORT]" in refused.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "smtp://mailer:hunter2@mail.example.org",
        "smtp://mailer:hunter2/x@mail.example.org",
        "smtp://mailer:#hunter2@mail.example.org",
        "smtp://mailer:?hunter2@mail.example.org",
        "smtp://mailer:hunter2@mail.example.org:99999",
        "smtp://:hunter2@mail.example.org",
        "smtp://mailer:@hunter2@mail.example.org",
        "http://mailer:hunter2@mail.example.org",
    ],
)
def test_never_repeats_a_password(url: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        parse_smart_host(url)

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@given(st.text(max_size=60))
def test_any_text_is_a_smart_host_or_refused(text: str) -> None:
    for url in (text, f"smtp://{text}"):
        try:
            host = parse_smart_host(url)
        except ConfigurationRefused:
            continue
        assert 0 < host.port < 65536
        assert host.host.isascii()


def test_in_clear_it_must_be_this_machine() -> None:
    refuse_clear_beyond_loopback(parse_smart_host("smtp://127.0.0.1:2525"))
    refuse_clear_beyond_loopback(parse_smart_host("smtp://mail.example.org"))

    with pytest.raises(ConfigurationRefused) as refused:
        refuse_clear_beyond_loopback(parse_smart_host("smtp+clear://10.0.0.1"))

    assert "delivery.allow_clear_beyond_loopback" in refused.value.remedy
