"""What does a page look like to its reader? Headless Chromium, a window of a given size and colour scheme.

The browser reaches nothing beyond loopback, and everything it asks for is on record.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

PICTURES = "PICTURES_FOLDER"
"""The variable that names the folder where pictures are kept; without it they go to pytest's own."""

LEAST_CONTRAST = 4.5
"""Of text to its ground (WCAG 2.2, 1.4.3); large text may have 3."""
LEAST_CONTRAST_OF_LARGE = 3.0


class Scheme(StrEnum):
    """Which colours the reader prefers."""

    LIGHT = "light"
    DARK = "dark"


class Scripts(StrEnum):
    """Whether the pages' own scripts run."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A window, in CSS pixels."""

    name: str
    width: int
    height: int

    @property
    def is_narrow(self) -> bool:
        return self.width < 600


PHONE = Screen(name="phone", width=360, height=740)
DESKTOP = Screen(name="desktop", width=1280, height=900)
SCREENS = (PHONE, DESKTOP)

_OVERFLOWING = """
const room = document.documentElement.clientWidth;
const found = [];
const width = document.documentElement.scrollWidth;
if (width > room) found.push(`the page: ${width}`);
for (const element of document.body.querySelectorAll('*')) {
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  if (style.display === 'none' || box.width === 0 || element.closest('svg')) continue;
  const name = `${element.tagName.toLowerCase()} ${element.textContent.trim().slice(0, 40)}`;
  // A box that scrolls by itself, such as a long command line, may hold more than it shows.
  const scrolls = ['auto', 'scroll'].includes(style.overflowX);
  const clips = !scrolls && style.display !== 'inline' && element.scrollWidth > element.clientWidth + 1;
  if (clips) found.push(`clipped: ${name}`);
  const inScroller = (() => {
    for (let outer = element.parentElement; outer; outer = outer.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(outer).overflowX)) return true;
    return false;
  })();
  if (!inScroller && (box.right > room + 1 || box.left < -1)) found.push(`beyond the edge: ${name}`);
}
return found;
"""

_TEXT_AND_GROUND = """
const canvas = document.createElement('div');
canvas.style.cssText = 'background-color: Canvas; display: none';
document.body.append(canvas);
const paper = getComputedStyle(canvas).backgroundColor;
canvas.remove();
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim();
  const element = walker.currentNode.parentElement;
  if (!text || !element || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(element.tagName)) continue;
  if (element.closest('svg') || !element.getClientRects().length) continue;
  const grounds = [];
  for (let ground = element; ground; ground = ground.parentElement)
    grounds.push(getComputedStyle(ground).backgroundColor);
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  found.push([text.slice(0, 40), style.color, grounds, size, parseInt(style.fontWeight)]);
}
return {paper, texts: found};
"""


class Window:
    """One window of the browser."""

    def __init__(self, driver: Chrome, screen: Screen, scheme: Scheme) -> None:
        self.driver = driver
        self.screen = screen
        self.scheme = scheme

    def open(self, url: str) -> None:
        """Load a page and forget what was asked for before."""
        self._log()
        self.driver.get(url)

    def open_file(self, path: Path) -> None:
        """Load a page from a file."""
        self.open(path.resolve().as_uri())

    def asked_for(self) -> list[str]:
        """Return the URLs that were asked for since the page was opened, itself first; `data:` is none."""
        urls = []
        for entry in self._log():
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(str(message["params"]["request"]["url"]))
        return [url for url in urls if not url.startswith(("data:", "chrome:"))]

    def picture(self, folder: Path, name: str) -> Path:
        """Take a picture of the whole page."""
        kept = Path(os.environ[PICTURES]) if PICTURES in os.environ else folder
        kept.mkdir(parents=True, exist_ok=True)
        size = self._send("Page.getLayoutMetrics")["cssContentSize"]
        whole = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=whole)
        path = kept / f"{name}-{self.screen.name}-{self.scheme}.png"
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    def overflowing(self) -> list[str]:
        """Return what is wider than the window, or than the box it stands in."""
        return [str(found) for found in self.run(_OVERFLOWING)]

    def too_faint(self) -> list[str]:
        """Return the texts whose contrast is below WCAG 2.2, 1.4.3."""
        seen = self.run(_TEXT_AND_GROUND)
        faint = []
        for text, color, grounds, size, weight in seen["texts"]:
            paper = _over(_rgba(seen["paper"]), (255.0, 255.0, 255.0))
            for ground in reversed(grounds):
                paper = _over(_rgba(ground), paper)
            contrast = _contrast(_over(_rgba(color), paper), paper)
            # WCAG 2.2, "large scale": 18 pt, or 14 pt bold.
            large = size >= 24 or (size >= 18.66 and weight >= 700)
            if contrast < (LEAST_CONTRAST_OF_LARGE if large else LEAST_CONTRAST):
                faint.append(f"{contrast:.1f}: {text}")
        return faint

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script of the test's in the page, whether or not the page's own may run."""
        return self.driver.execute_script(script, *arguments)

    def _log(self) -> list[dict[str, str]]:
        # Reading the log empties it.
        return list(self.driver.get_log("performance"))  # type: ignore[no-untyped-call]

    def _send(self, command: str, **parameters: object) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)


@contextmanager
def window(
    program: Callable[[str], str],
    *,
    screen: Screen = DESKTOP,
    scheme: Scheme = Scheme.LIGHT,
    scripts: Scripts = Scripts.ON,
    user_agent: str | None = None,
) -> Iterator[Window]:
    """Open a window; skips, loudly, where Chromium is not installed."""
    options = ChromeOptions()
    options.binary_location = program("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # root in a container has none; nothing but our own pages is shown
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--force-device-scale-factor=1",
        "--hide-scrollbars",
        "--lang=en",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        f"--window-size={screen.width},{screen.height}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=program("chromedriver")))
    try:
        opened = Window(driver, screen, scheme)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": screen.width,
                "height": screen.height,
                "deviceScaleFactor": 1,
                "mobile": screen.is_narrow,
            },
        )
        prefers = [{"name": "prefers-color-scheme", "value": scheme.value}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": prefers})
        if scripts is Scripts.OFF:
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        if user_agent is not None:
            driver.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": user_agent})
        yield opened
    finally:
        driver.quit()


def _rgba(text: str) -> tuple[float, ...]:
    """Read a computed colour: `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`."""
    numbers = [float(number) for number in text[text.index("(") + 1 : -1].replace("/", ",").split(",")]
    return (*numbers, 1.0) if len(numbers) == 3 else tuple(numbers)


def _over(color: tuple[float, ...], ground: tuple[float, ...]) -> tuple[float, ...]:
    *channels, opacity = color
    return tuple(
        opacity * above + (1 - opacity) * below for above, below in zip(channels, ground, strict=True)
    )


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the contrast ratio (WCAG 2.2, section "contrast ratio")."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: tuple[float, ...]) -> float:
    shares = [channel / 255 for channel in color]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
