"""`pushpki org`: what is added is listed; what cannot be is refused in one line that names it."""

import asyncio
from pathlib import Path

import pytest

from ca.sealing import SealedSecret
from directory.organization import smtp_password_identity
from directory.settings import load_settings
from directory.wiring.installation import open_installation
from tests.directory.builders import smart_host_of
from tests.directory.cli.workplace import Workplace

FIRM = {
    "--name": "Law Firm",
    "--domain": "firm.com",
    "--mail-from": "keys@firm.com",
    "--smtp": "smtp://mail.firm.com",
}


def add(slug: str = "firm", **deviations: str) -> tuple[str, ...]:
    options = FIRM | {f"--{name.replace('_', '-')}": value for name, value in deviations.items()}
    return ("org", "add", slug, *(word for option in options.items() for word in option))


def a_secret_file(folder: Path, content: bytes = b"s3cret\n", *, mode: int = 0o600) -> str:
    path = folder / "smtp-password"
    path.touch(mode=mode)
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_an_added_organization_is_listed(workplace: Workplace) -> None:
    added = workplace.document(
        *add(package_format="modern", password_style="words", contact="+49 30 1"),
        *("--domain", "Firm.ORG", "--isolated"),
    )

    assert added == {
        "slug": "firm",
        "name": "Law Firm",
        "domains": ["firm.com", "firm.org"],
        "mail_from": "keys@firm.com",
        "smart_host": "mail.firm.com:587",
        "smtp_security": "starttls",
        "package_format": "modern",
        "package_formats": {},
        "package_chain": True,
        "password_style": "words",
        "isolated": True,
        "contact": "+49 30 1",
        "language": "en",
        "sender_name": "",
        "key_delivery": "attachment",
        "end_of_hold": "destroy",
        "renewal": "proven",
        "escrow_signing_keys": False,
        "bounce_address": None,
        "dkim_selector": None,
        "webhook_url": None,
        "password_mail": None,
        "notices_to": None,
        "relay_days": 30,
    }
    listed = workplace.document("org", "list")["organizations"]
    assert [one["slug"] for one in listed] == ["firm", "hospital"]
    assert listed[0] == added


def test_people_read_lines(workplace: Workplace) -> None:
    assert workplace.lines(*add()) == ["Organization firm added."]
    assert workplace.lines("org", "list") == [
        "firm\tLaw Firm\tfirm.com\tkeys@firm.com",
        "hospital\tCity Hospital\thospital.org\tkeys@hospital.org",
    ]


def test_a_name_in_any_script_is_taken(workplace: Workplace) -> None:
    added = workplace.document(*add(name="Städtisches Krankenhaus 東京"))

    assert added["name"] == "Städtisches Krankenhaus 東京"


def test_the_smart_hosts_password_is_sealed(workplace: Workplace, tmp_path: Path) -> None:
    password_file = a_secret_file(tmp_path)
    workplace.document(*add(smtp="smtp://mailer@mail.firm.com", smtp_password_file=password_file))

    async def stored() -> tuple[SealedSecret | None, bytes]:
        async with open_installation(load_settings(workplace.config), None) as opened:
            firm = await opened.organizations.by_slug("firm")
            sealed = smart_host_of(firm).sealed_password
            assert sealed is not None
            return sealed, opened.sealer.unseal(sealed, smtp_password_identity(firm.organization_id))

    assert asyncio.run(stored())[1] == b"s3cret"
    assert b"s3cret" not in (workplace.folder / "pushpki.sqlite3").read_bytes()


@pytest.mark.parametrize(
    ("deviation", "code", "named"),
    [
        ({"slug": "hospital"}, 73, ["organization 'hospital' already exists"]),
        ({"domain": "hospital.org", "mail_from": "keys@hospital.org"}, 73, ["domain 'hospital.org'"]),
        ({"slug": "Firm"}, 78, ["slug", "'Firm'", "a-z"]),
        ({"name": ""}, 78, ["name", "visible characters"]),
        ({"contact": "a\u202eb"}, 78, ["contact", "visible characters"]),
        ({"domain": "firm"}, 78, ["--domain", "'firm'"]),
        ({"domain": "keys@firm.com"}, 78, ["--domain", "'keys@firm.com'"]),
        ({"domain": "-firm.com"}, 78, ["--domain", "'-firm.com'"]),
        ({"mail_from": "firm.com"}, 78, ["--mail-from", "'firm.com'"]),
        ({"mail_from": "keys@hospital.org"}, 78, ["mail-from", "keys@hospital.org", "firm.com"]),
        ({"smtp": "mail.firm.com"}, 78, ["--smtp", "smtp://[USER@]HOST[:PORT]"]),
        ({"smtp": "smtp+clear://mail.firm.com"}, 78, ["--smtp", "delivery.allow_clear_beyond_loopback"]),
        ({"smtp": "smtp://mailer@mail.firm.com"}, 78, ["--smtp-password-file", "together"]),
        ({"smtp": "smtp://mailer:hunter2@mail.firm.com"}, 78, ["--smtp", "--smtp-password-file"]),
        ({"smtp_password_file": "/nowhere"}, 78, ["--smtp-password-file", "together"]),
    ],
    ids=str,
)
def test_what_is_refused_is_named_and_nothing_is_added(
    workplace: Workplace, deviation: dict[str, str], code: int, named: list[str]
) -> None:
    line = workplace.refusal(*add(**deviation), code=code)

    assert [word for word in named if word not in line] == []
    assert "hunter2" not in line
    assert len(workplace.document("org", "list")["organizations"]) == 1


@pytest.mark.parametrize(
    ("content", "mode", "named"),
    [
        (b"s3cret", 0o640, "chmod 600"),
        (b"s3cret", 0o604, "chmod 600"),
        (b"\n", 0o600, "is empty"),
        (b"s3cret\xff", 0o600, "is not UTF-8"),
    ],
)
def test_a_password_file_that_is_no_secret_is_refused(
    workplace: Workplace, tmp_path: Path, content: bytes, mode: int, named: str
) -> None:
    file = a_secret_file(tmp_path, content, mode=mode)

    line = workplace.refusal(*add(smtp="smtp://m@mail.firm.com", smtp_password_file=file), code=78)

    assert "--smtp-password-file" in line
    assert named in line
    assert "s3cret" not in line


def test_a_missing_password_file_is_named(workplace: Workplace) -> None:
    line = workplace.refusal(*add(smtp="smtp://m@mail.firm.com", smtp_password_file="/nowhere"), code=78)

    assert "/nowhere" in line
    assert "No such file" in line
