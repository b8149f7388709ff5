"""Our mails as their readers see them: on a phone and on a large screen, in light and in dark.

The pictures are kept in the folder that PICTURES_FOLDER names, to be looked at by people.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from directory.delivery.letters import written
from directory.delivery.specimens import SPECIMENS, Specimen
from directory.delivery.stationery import Stationery
from directory.organization import Organization
from tests.directory.builders import an_organization
from tests.directory.delivery.builders import NOW
from tests.directory.delivery.overriding import put
from tests.directory.delivery.snapshots import LANGUAGES
from tests.interop.chromium import DESKTOP, PHONE, Scheme, Screen, Scripts, Window, window

LOOKS = [(screen, scheme) for screen in (PHONE, DESKTOP) for scheme in Scheme]
HOSTILE = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: f"{look[0].name}-{look[1]}")
def reader(request: pytest.FixtureRequest, program: Callable[[str], str]) -> Iterator[Window]:
    look: tuple[Screen, Scheme] = request.param
    with window(program, screen=look[0], scheme=look[1], scripts=Scripts.OFF) as opened:
        yield opened


def show(
    reader: Window,
    folder: Path,
    message: str,
    specimen: Specimen,
    *,
    language: str,
    organization: Organization,
) -> None:
    page = folder / "mail.html"
    stationery = Stationery(folder / "templates" if (folder / "templates").exists() else None)
    mail = written(
        stationery,
        organization,
        message,
        variables=specimen.variables,
        recipient=organization.mail_from,
        language=language,
        message_id="<1@hospital.org>",
        now=NOW,
    )
    html = mail.html
    if mail.picture is not None:
        # A mail program has the picture from the mail; here it is a file beside the page.
        put(folder, mail.picture.file_name, mail.picture.content)
        html = html.replace(f"cid:{mail.picture.content_id}", mail.picture.file_name)
    page.write_text(html, encoding="utf-8")
    reader.open_file(page)


@pytest.mark.parametrize("message", SPECIMENS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_can_be_read(reader: Window, tmp_path: Path, message: str, language: str) -> None:
    for specimen in SPECIMENS[message]:
        show(reader, tmp_path, message, specimen, language=language, organization=an_organization())
        assert reader.overflowing() == []
        assert reader.too_faint() == []
        assert reader.asked_for() == [(tmp_path / "mail.html").as_uri()]
        reader.picture(tmp_path, f"{message}-{specimen.name}-{language}")


@pytest.mark.parametrize("message", SPECIMENS)
def test_a_name_without_a_blank_does_not_widen_it(reader: Window, tmp_path: Path, message: str) -> None:
    organization = replace(an_organization(), name=HOSTILE, contact=HOSTILE)
    show(reader, tmp_path, message, SPECIMENS[message][0], language="de", organization=organization)
    assert reader.overflowing() == []


def test_a_logo_is_shown_and_fits(reader: Window, tmp_path: Path) -> None:
    logo = Path(__file__).parent / "pictures" / "logo.png"
    put(tmp_path, "templates/hospital/logo.png", logo.read_bytes())
    specimen = SPECIMENS["key_package"][0]
    show(reader, tmp_path, "key_package", specimen, language="en", organization=an_organization())
    assert reader.run("return document.images.length") == 1
    assert reader.run("return document.images[0].naturalWidth") > 0
    assert reader.overflowing() == []
    assert reader.asked_for() == [(tmp_path / name).as_uri() for name in ("mail.html", "logo.png")]
    reader.picture(tmp_path, "key_package-with-logo")
