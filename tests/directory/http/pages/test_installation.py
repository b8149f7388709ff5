import html
import logging
import plistlib
import re
from dataclasses import replace

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from ca.keypackage import KeyPackageFormat
from directory.delivery.mobileconfig import CONTENT_TYPE as PROFILE_TYPE
from directory.errors import StoreUnavailable
from directory.http.pages.rendering import Sender
from directory.http.pages.steps import COMMANDS
from directory.http.pages.words import LANGUAGES
from directory.organization import Correspondence, KeyDelivery, Webhook, webhook_secret_identity
from directory.platforms import Platform
from directory.recipient import MOST_DOWNLOADS
from tests.directory.builders import an_organization
from tests.directory.http.house import SEALER, sender_of
from tests.directory.http.pages.conftest import Stay
from tests.directory.recipients import PASSWORD
from tests.directory.test_platforms import ANDROID, IPHONE, LINUX, MAC, THUNDERBIRD, WINDOWS

LOCKED_WITH_3DES = bytes.fromhex("2a864886f70d010c0103")  # pbeWithSHAAnd3-KeyTripleDES-CBC
LOCKED_WITH_AES = bytes.fromhex("2a864886f70d01050d")  # PBES2


def text_of(page: httpx.Response) -> str:
    body = re.sub(r"<style>.*?</style>", "", page.text, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body)))


def links_of(page: httpx.Response) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"]*)"', page.text)]


async def test_the_page_says_whose_it_is_and_for_which_address(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    page = await browser.get(f"/install/{stay.install}")

    assert page.status_code == 200
    assert "City Hospital sends you encrypted mail under the address alice@example.com." in text_of(page)
    assert "This is how to reach City Hospital: +49 30 1234567" in text_of(page)
    assert "This page works until 22 December 2026." in text_of(page)
    assert "“Example Root 2026”" in text_of(page)


async def test_the_page_holds_neither_key_nor_password(stay: Stay, browser: httpx.AsyncClient) -> None:
    for device in Platform:
        page = await browser.get(f"/install/{stay.install}?device={device.value}")

        assert PASSWORD not in page.text
        assert "PRIVATE KEY" not in page.text
    assert stay.house.links.events == []


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (WINDOWS, Platform.WINDOWS),
        (MAC, Platform.MAC),
        (IPHONE, Platform.IPHONE),
        (ANDROID, Platform.ANDROID),
        (LINUX, Platform.LINUX),
        (THUNDERBIRD, Platform.THUNDERBIRD),
        ("curl/8", Platform.WINDOWS),
    ],
)
async def test_the_steps_are_for_the_device_the_page_is_read_on(
    stay: Stay, browser: httpx.AsyncClient, user_agent: str, device: Platform
) -> None:
    page = await browser.get(f"/install/{stay.install}", headers={"User-Agent": user_agent})

    shown = re.findall(r'<a href="\?device=(\w+)" aria-current="page">', page.text)
    assert shown == [device.value]


async def test_another_device_can_be_chosen_and_the_choice_goes_with_the_language(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    page = await browser.get(
        f"/install/{stay.install}?device=android&lang=es&utm_source=x", headers={"User-Agent": WINDOWS}
    )

    assert "FairEmail" in page.text
    assert {f"?lang={language}&device=android" for language in LANGUAGES} <= set(links_of(page))
    assert {f"?lang=es&device={device.value}" for device in Platform} <= set(links_of(page))
    assert "utm_source" not in page.text


@pytest.mark.parametrize("device", Platform)
async def test_each_device_has_its_steps_with_a_described_picture_each(
    stay: Stay, browser: httpx.AsyncClient, device: Platform
) -> None:
    page = await browser.get(f"/install/{stay.install}?device={device.value}")

    steps = page.text.count('<p class="text">')
    pictures = re.findall(r'<svg class="drawing" role="img" aria-label="([^"]+)"[^>]*><rect', page.text)
    assert steps >= 4
    assert len(pictures) == steps + 3
    assert all(len(words) > 10 for words in pictures)


@pytest.mark.parametrize(
    ("device", "first"),
    [
        (Platform.WINDOWS, "key.p12"),
        (Platform.MAC, "key.mobileconfig"),
        (Platform.IPHONE, "key.mobileconfig"),
        (Platform.ANDROID, "key.p12"),
        (Platform.THUNDERBIRD, "key.p12"),
        (Platform.LINUX, "key.p12"),
    ],
)
async def test_what_suits_the_device_is_offered_first_and_every_offer_is_there(
    stay: Stay, browser: httpx.AsyncClient, device: Platform, first: str
) -> None:
    page = await browser.get(f"/install/{stay.install}?device={device.value}")

    offers = [link for link in links_of(page) if link.startswith(stay.install)]
    assert offers[0] == f"{stay.install}/{first}"
    assert f"{stay.install}/key.p12?format=modern" in offers
    assert f"{stay.install}/authority.crt" in offers
    for offer in offers:
        assert (await browser.get(f"/install/{offer}")).status_code == 200, offer


@pytest.mark.parametrize("device", Platform)
async def test_experts_get_commands_that_name_the_file_and_no_password(
    stay: Stay, browser: httpx.AsyncClient, device: Platform
) -> None:
    page = await browser.get(f"/install/{stay.install}?device={device.value}")

    shown = [html.unescape(one) for one in re.findall(r"<code>(.*?)</code>", page.text)]
    assert shown == [command for _, command in COMMANDS[device]]
    assert ("<details>" in page.text) is bool(COMMANDS[device])
    for command in shown:
        assert "encryption-key.p12" in command
        assert not re.search(r"-P |-W |pass(?:in|word)?[:=]|-AsPlainText", command)


async def test_a_mac_that_may_be_an_ipad_is_shown_the_way_to_its_steps(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    page = await browser.get(f"/install/{stay.install}", headers={"User-Agent": MAC})

    assert "Is this an iPad?" in text_of(page)
    assert links_of(page).count("?device=iphone") == 2


@pytest.mark.parametrize(
    ("asked_for", "oid"),
    [("", LOCKED_WITH_3DES), ("?format=modern", LOCKED_WITH_AES), ("?format=rc2", LOCKED_WITH_3DES)],
)
async def test_the_key_comes_in_the_format_that_was_mailed_or_the_other(
    stay: Stay, browser: httpx.AsyncClient, asked_for: str, oid: bytes
) -> None:
    fetched = await browser.get(f"/install/{stay.install}/key.p12{asked_for}")

    assert fetched.headers["Content-Type"] == "application/x-pkcs12"
    assert fetched.headers["Content-Disposition"] == 'attachment; filename="encryption-key.p12"'
    assert fetched.headers["Cache-Control"] == "no-store"
    assert oid in fetched.content
    key, _, _ = pkcs12.load_key_and_certificates(fetched.content, PASSWORD.encode())
    assert key is not None


async def test_where_the_modern_format_was_mailed_the_other_is_the_compatible_one(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.change(package_format=KeyPackageFormat.MODERN)
    page = await browser.get(f"/install/{stay.install}?device=windows")
    fetched = await browser.get(f"/install/{stay.install}/key.p12")

    assert f"{stay.install}/key.p12?format=compatible" in links_of(page)
    assert LOCKED_WITH_AES in fetched.content


async def test_a_profile_speaks_the_recipients_language(stay: Stay, browser: httpx.AsyncClient) -> None:
    stay.change(language="de")
    fetched = await browser.get(f"/install/{stay.install}/key.mobileconfig")

    assert fetched.headers["Content-Type"] == PROFILE_TYPE
    assert fetched.headers["Content-Disposition"] == 'attachment; filename="encryption-key.mobileconfig"'
    profile = plistlib.loads(fetched.content)
    assert profile["PayloadDisplayName"] == "Schlüssel für verschlüsselte E-Mails"
    assert "alice@example.com" in profile["PayloadDescription"]
    assert profile["PayloadOrganization"] == "City Hospital"
    assert "<" not in profile["PayloadDescription"]


async def test_the_authority_is_the_root(stay: Stay, browser: httpx.AsyncClient) -> None:
    fetched = await browser.get(f"/install/{stay.install}/authority.crt")

    certificate = x509.load_der_x509_certificate(fetched.content)
    assert certificate.subject == certificate.issuer
    assert stay.house.links.events == []


async def test_head_tells_the_same_and_fetches_nothing(stay: Stay, browser: httpx.AsyncClient) -> None:
    for file in ("", "/key.p12", "/key.mobileconfig", "/authority.crt"):
        head = await browser.head(f"/install/{stay.install}{file}")
        got = await browser.get(f"/install/{stay.install}{file}")

        assert head.status_code == got.status_code == 200
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert len(stay.house.links.events) == 2


async def test_after_the_hold_the_page_says_plainly_that_the_key_is_gone(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.change(sealed_key=None)
    for file in ("", "/key.p12", "/key.mobileconfig"):
        page = await browser.get(f"/install/{stay.install}{file}")

        assert page.status_code == 410
        assert "The key is no longer here" in text_of(page)
        assert "You will get a new key." in text_of(page)
        assert (await browser.head(f"/install/{stay.install}{file}")).status_code == 410
    assert stay.house.links.events == []


async def test_who_has_fetched_too_often_is_told_to_call(stay: Stay, browser: httpx.AsyncClient) -> None:
    stay.house.links.downloads[stay.install[:16]] = MOST_DOWNLOADS

    page = await browser.get(f"/install/{stay.install}/key.p12")

    assert page.status_code == 429
    assert "Please call City Hospital." in text_of(page)


async def test_the_key_mail_is_sent_again_and_the_page_says_so(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    sent = await browser.post(
        f"/install/{stay.install}/send?device=linux&lang=fr", data={"token": stay.install}
    )
    page = await browser.get(str(httpx.URL(str(sent.url)).join(sent.headers["Location"])))

    assert sent.status_code == 303
    assert [one.package_format for one in stay.house.resends.queued] == [KeyPackageFormat.MODERN]
    assert "est en route vers alice@example.com." in text_of(page)
    assert 'role="status"' in page.text
    assert "Kleopatra" in page.text


async def test_a_second_one_is_not_sent_while_the_first_is_under_way(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    for notice in ("sent", "under_way"):
        sent = await browser.post(f"/install/{stay.install}/send", data={"token": stay.install})
        assert sent.headers["Location"] == f"../{stay.install}?notice={notice}"
    assert len(stay.house.resends.queued) == 1


async def test_where_the_budget_is_spent_the_page_says_to_call(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.house.resends.has_room = False
    sent = await browser.post(f"/install/{stay.install}/send", data={"token": stay.install})
    page = await browser.get(f"/install/{stay.install}?notice=budget")

    assert sent.headers["Location"].endswith("?notice=budget")
    assert "several mails have been sent to you in the last days" in text_of(page)


async def test_where_it_is_refused_for_another_reason_the_page_does_not_make_one_up(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.house.resends.suppressed = True
    sent = await browser.post(f"/install/{stay.install}/send", data={"token": stay.install})
    page = await browser.get(f"/install/{stay.install}?notice=refused")

    assert sent.headers["Location"].endswith("?notice=refused")
    assert "The key cannot be sent to you by mail now. Please call City Hospital." in text_of(page)


@pytest.mark.parametrize("notice", ["", "x", "title", "../en", "<script>"])
async def test_a_notice_that_there_is_not_is_not_shown(
    stay: Stay, browser: httpx.AsyncClient, notice: str
) -> None:
    page = await browser.get(f"/install/{stay.install}", params={"notice": notice})

    assert page.status_code == 200
    assert 'role="status"' not in page.text


async def test_where_keys_go_by_link_alone_none_is_sent_by_mail(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    by_link = replace(an_organization(), correspondence=Correspondence(key_delivery=KeyDelivery.LINK))
    stay.change(organization=by_link)
    page = await browser.get(f"/install/{stay.install}")
    sent = await browser.post(f"/install/{stay.install}/send", data={"token": stay.install})

    assert "<form" not in page.text
    assert sent.status_code == 200
    assert stay.house.resends.queued == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_page_declares_its_language_everywhere(
    stay: Stay, browser: httpx.AsyncClient, language: str
) -> None:
    for path in (f"/install/{stay.install}", f"/install/prove/{stay.proof}", "/install/x"):
        page = await browser.get(f"{path}?lang={language}")

        assert f'<html lang="{language}"' in page.text
        assert page.headers["Content-Language"] == language


async def test_who_has_a_system_of_its_own_for_passwords_promises_no_call(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    secret = SEALER.seal(b"secret", webhook_secret_identity("org-1"))
    webhook = Webhook(url="https://desk.hospital.org/", sealed_secret=secret)
    stay.change(organization=replace(an_organization(), correspondence=Correspondence(webhook=webhook)))
    page = text_of(await browser.get(f"/install/{stay.install}"))

    assert "tell you the password by another way" in page
    assert "will call you" not in page


async def test_where_the_key_package_lacks_the_chain_the_page_does_not_say_it_has_it(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    bare = replace(an_organization(), correspondence=Correspondence(package_chain=False))
    stay.change(organization=bare)
    page = text_of(await browser.get(f"/install/{stay.install}"))

    assert "Download its certificate if your program says" in page
    assert "holds its certificate already" not in page


async def test_a_logo_stands_in_the_page_itself(stay: Stay) -> None:
    pages = replace(
        stay.house.services.pages,
        sender_of=lambda one: replace(sender_of(one), logo="data:image/png;base64,AAAA"),
    )
    stay.house.services = replace(stay.house.services, pages=pages)
    async with stay.house.client() as client:
        page = await client.get(f"/install/{stay.install}")

    assert '<img src="data:image/png;base64,AAAA" alt="City Hospital">' in page.text
    assert "img-src data:;" in page.headers["Content-Security-Policy"]


async def test_without_a_contact_none_is_promised(stay: Stay) -> None:
    pages = replace(stay.house.services.pages, sender_of=lambda one: Sender(name=one.name))
    stay.house.services = replace(stay.house.services, pages=pages)
    async with stay.house.client() as client:
        page = await client.get(f"/install/{stay.install}")

    assert "This is how to reach" not in page.text


async def test_a_database_that_does_not_answer_is_told_in_words(
    stay: Stay, browser: httpx.AsyncClient
) -> None:
    stay.house.links.failure = StoreUnavailable(reason="disk full")
    for file in ("", "/key.p12"):
        page = await browser.get(f"/install/{stay.install}{file}")

        assert page.status_code == 503
        assert "Nothing is lost." in text_of(page)
        assert "disk" not in page.text


async def test_the_access_log_names_the_route_and_not_the_link(
    stay: Stay, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "directory"):
        await browser.get(f"/install/{stay.install}/key.p12")

    assert "GET /install/{token}/key.p12 200" in caplog.text
    assert stay.install[16:] not in caplog.text
