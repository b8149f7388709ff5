"""The recipient pages of the real service in a real browser: seen, walked by keyboard, fetched from.

No script runs in any of it: scripts are switched off, as some recipients have them.
"""

import plistlib
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.wait import WebDriverWait

from ca.hierarchy import create_tls_server
from ca.linting import Linter
from directory.platforms import Platform
from tests.gateways import call, look_up
from tests.interop.chromium import DESKTOP, PHONE, Scheme, Screen, Scripts, Window, window
from tests.interop.programs import an_address, run
from tests.postbox import postbox
from tests.service import UNHURRIED, install, serving, succeed

Programs = Callable[[str], str]

SMALLEST = Screen(name="smallest", width=320, height=640)
"""What a page has to fit (WCAG 2.2, 1.4.10)."""
LEAST_TARGET = 24
"""In CSS pixels, of what is pressed (WCAG 2.2, 2.5.8)."""

USER_AGENTS = {
    Platform.WINDOWS: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0 Safari/537.36",
    Platform.MAC: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/26.0 Safari/605.1.15",
    Platform.IPHONE: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Mobile/15E148 Safari/604.1",
    Platform.ANDROID: "Mozilla/5.0 (Linux; Android 10; K) Chrome/142.0 Mobile Safari/537.36",
    Platform.LINUX: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
}

_SHORTCOMINGS = """
const found = [];
const say = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 80)}`);
if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
if (!document.title || !document.documentElement.lang) found.push('no title or language');
for (const landmark of ['header', 'main', 'footer'])
  if (document.querySelectorAll(landmark).length !== 1) found.push(`not one ${landmark}`);
let level = 0;
for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) say('a heading that skips a level', heading);
  level = next;
}
for (const picture of document.querySelectorAll('svg, img'))
  if (!picture.getAttribute('aria-label') && !picture.alt && picture.getAttribute('aria-hidden') !== 'true')
    say('a picture without words', picture);
const names = new Set();
for (const element of document.querySelectorAll('a, button, summary')) {
  if (!element.textContent.trim()) say('nothing to read on it', element);
  const box = element.getBoundingClientRect();
  const inline = getComputedStyle(element).display === 'inline';
  if (!inline && box.height && (box.height < LEAST || box.width < LEAST)) say('too small to press', element);
}
for (const region of document.querySelectorAll('nav, section')) {
  const name = region.getAttribute('aria-label')
    || document.getElementById(region.getAttribute('aria-labelledby') || '')?.textContent;
  if (!name) say('a region without a name', region);
}
const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
if (new Set(ids).size !== ids.length) found.push('an id that stands twice');
if (document.querySelectorAll('[tabindex]:not([tabindex="0"])').length) found.push('a tabindex of its own');
return found;
""".replace("LEAST", str(LEAST_TARGET))

_FOCUSED = """
const element = document.activeElement;
const style = getComputedStyle(element);
return {
  text: element.textContent.trim(),
  tag: element.tagName,
  outline: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What one recipient has got: the links of his mails, and by telephone the password."""

    install: str
    prove: str
    stop: str
    password: str
    signed_by: Path
    """PEM of what profiles are signed with."""


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory, linter: Linter) -> Iterator[Links]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    folder = tmp_path_factory.mktemp("pages") / "pushpki"
    with postbox() as mail:
        installed = install(folder, smtp=mail.smtp)
        certificate, key = create_tls_server(["localhost"], datetime.now(UTC), linter)
        signed_by, signing_key = folder / "signing.pem", folder / "signing.key"
        signed_by.write_bytes(certificate.public_bytes(Encoding.PEM))
        signing_key.touch(mode=0o600)
        signing_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with installed.config.open("a", encoding="utf-8") as config:
            config.write(f'\n[pages]\nurl = "http://127.0.0.1:{port}"\n')
            config.write('signing_certificate = "signing.pem"\nsigning_key = "signing.key"\n')
        succeed("org", "set", "hospital", "--key-delivery", "both", "--config", str(installed.config))
        variables = {
            **UNHURRIED,
            "PUSHPKI_DELIVERY__POLL_SECONDS": "0.2",
            "PUSHPKI_HTTP__LISTEN": f"127.0.0.1:{port}",
        }
        with serving(installed, variables=variables) as running:
            address = an_address()
            look_up(running, address)
            key_mail = mail.message_to(address)
            agent = installed.agent_token
            _, listed = call(running, "GET", "/api/v1/enrolments", token=agent)
            enrolment_id = listed["enrolments"][0]["enrolment_id"]
            path = f"/api/v1/enrolments/{enrolment_id}/password/reveal"
            _, revealed = call(running, "POST", path, token=agent, body={})
            password = str(revealed["password"])
            proof_mail = opened(mail.message_to(address), key_mail, password)
            yield Links(
                install=link_in(key_mail, r"/install/[a-z2-7]{48}"),
                prove=link_in(proof_mail, r"/install/prove/[a-z2-7]{48}"),
                stop=link_in(key_mail, r"/install/stop/[a-z2-7]{48}"),
                password=password,
                signed_by=signed_by,
            )


def link_in(message: EmailMessage, path: str) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    (link,) = set(re.findall(rf"http://127\.0\.0\.1:\d+{path}", str(part.get_content())))
    return str(link)


def opened(message: EmailMessage, key_mail: EmailMessage, password: str) -> EmailMessage:
    """Read an encrypted mail with the key that came attached to another."""
    (attachment,) = key_mail.iter_attachments()
    key, certificate, _ = pkcs12.load_key_and_certificates(attachment.get_content(), password.encode())
    assert isinstance(key, RSAPrivateKey)
    assert certificate is not None
    inner = pkcs7.pkcs7_decrypt_der(message.get_content(), certificate, key, [])
    return message_from_bytes(inner, policy=policy.default)


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("screen", [SMALLEST, PHONE, DESKTOP], ids=lambda screen: screen.name)
def test_every_page_fits_can_be_read_and_is_what_it_seems(
    program: Programs, links: Links, tmp_path: Path, screen: Screen, scheme: Scheme
) -> None:
    pages = {f"install-{one.value}": f"{links.install}?device={one.value}" for one in Platform}
    pages |= {
        f"install-{language}": f"{links.install}?device=iphone&lang={language}&notice=sent"
        for language in ("de", "fr", "es")
    }
    pages |= {"prove": links.prove, "stop": links.stop, "nothing": f"{links.install[:-1]}?lang=de"}
    with window(program, screen=screen, scheme=scheme, scripts=Scripts.OFF) as seen:
        for name, url in pages.items():
            seen.open(url)
            for details in seen.driver.find_elements("css selector", "details > summary"):
                details.click()

            assert seen.overflowing() == [], name
            assert seen.too_faint() == [], name
            assert seen.run(_SHORTCOMINGS) == [], name
            assert seen.asked_for() == [url], name
            seen.picture(tmp_path, f"page-{name}")


def test_the_page_opens_with_the_steps_of_the_device_it_is_opened_on(program: Programs, links: Links) -> None:
    with window(program, scripts=Scripts.OFF) as seen:
        for platform, user_agent in USER_AGENTS.items():
            send(seen, "Emulation.setUserAgentOverride", userAgent=user_agent)
            seen.open(links.install)

            shown = seen.driver.find_element("css selector", ".devices [aria-current]")
            assert f"device={platform.value}" in str(shown.get_attribute("href"))


def test_the_key_is_fetched_by_keyboard_alone_and_opens_with_the_password(
    program: Programs, links: Links, tmp_path: Path
) -> None:
    openssl = program("openssl")
    with window(program, screen=PHONE, scripts=Scripts.OFF) as seen:
        send(seen, "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        seen.open(f"{links.install}?device=windows")
        walk_to(seen, "Download the key")
        press(seen, Keys.ENTER)
        file = fetched(seen, tmp_path, "encryption-key.p12")

    shown = run(
        [openssl, "pkcs12", "-in", str(file), "-nodes", "-passin", "stdin"],
        data=f"{links.password}\n".encode(),
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count(b"BEGIN CERTIFICATE") == 3
    assert shown.stdout.count(b"BEGIN PRIVATE KEY") == 1


def test_a_profile_is_fetched_signed_and_asks_for_the_password(
    program: Programs, links: Links, tmp_path: Path
) -> None:
    openssl = program("openssl")
    with window(program, scripts=Scripts.OFF) as seen:
        send(seen, "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        seen.open(f"{links.install}?device=mac")
        walk_to(seen, "Download the key as a profile")
        press(seen, Keys.ENTER)
        file = fetched(seen, tmp_path, "encryption-key.mobileconfig")

    verified = run(
        [
            *(openssl, "cms", "-verify", "-inform", "DER", "-in", str(file), "-binary"),
            *("-CAfile", str(links.signed_by), "-partial_chain", "-purpose", "any"),
        ]
    )
    assert verified.returncode == 0, verified.stderr
    payloads = plistlib.loads(verified.stdout)["PayloadContent"]
    assert [one["PayloadType"] for one in payloads] == [
        "com.apple.security.root",
        "com.apple.security.pkcs1",
        "com.apple.security.pkcs12",
    ]
    assert "Password" not in payloads[-1]
    key, _, _ = pkcs12.load_key_and_certificates(payloads[-1]["PayloadContent"], links.password.encode())
    assert key is not None


def test_another_device_is_chosen_by_keyboard_alone(program: Programs, links: Links) -> None:
    with window(program, scripts=Scripts.OFF) as seen:
        seen.open(f"{links.install}?device=windows")
        walk_to(seen, "Thunderbird")
        press(seen, Keys.ENTER)

        waited(seen, lambda: "device=thunderbird" in seen.driver.current_url)
        assert "Manage S/MIME Certificates" in text_of(seen)


def test_the_key_mail_in_the_other_format_is_asked_for_by_keyboard_alone(
    program: Programs, links: Links
) -> None:
    with window(program, scripts=Scripts.OFF) as seen:
        seen.open(links.install)
        walk_to(seen, "Send me the key by mail in the other format")
        press(seen, Keys.ENTER)

        waited(seen, lambda: "notice=" in seen.driver.current_url)
        assert seen.driver.find_element("css selector", "[role=status]").text != ""


def test_a_recipient_proves_his_key_by_keyboard_alone(program: Programs, links: Links) -> None:
    with window(program, scripts=Scripts.OFF) as seen:
        seen.open(links.prove)
        assert "Thank you" not in text_of(seen)
        walk_to(seen, "Yes, I can read encrypted mail")
        press(seen, Keys.ENTER)
        waited(seen, lambda: "Thank you" in text_of(seen))

        seen.open(links.prove)
        assert "Thank you" in text_of(seen)


def send(seen: Window, command: str, **parameters: object) -> Any:
    return seen.driver.execute_cdp_cmd(command, parameters)


def press(seen: Window, key: str) -> None:
    ActionChains(seen.driver).send_keys(key).perform()


def walk_to(seen: Window, text: str) -> None:
    """Press the tab key until the element of this text has the focus; every stop must be seen to have it."""
    for _ in range(60):
        press(seen, Keys.TAB)
        focused = seen.run(_FOCUSED)
        assert focused["tag"] in {"A", "BUTTON", "SUMMARY", "PRE"}, focused
        assert focused["outline"] >= 2, focused
        if focused["text"] == text:
            return
    pytest.fail(f"the tab key does not lead to {text!r}")


def text_of(seen: Window) -> str:
    return str(seen.run("return document.body.innerText"))


def waited(seen: Window, condition: Callable[[], bool]) -> None:
    WebDriverWait(seen.driver, 20, poll_frequency=0.05).until(lambda _: condition())


def fetched(seen: Window, folder: Path, name: str) -> Path:
    file = folder / name
    waited(seen, lambda: file.exists() and not list(folder.glob("*.crdownload")))
    return file
