"""Do the text of a mail and its HTML say the same? And two translations of it have the same build?"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

# Inline elements do not end a word: "<b>x</b>," is one.
_INLINE = re.compile(r"</?(a|b|bdi|code|em|span|strong)(\s[^>]*)?>")
_UNSEEN = frozenset({"head", "script", "style", "title"})


def words_of_html(html: str) -> list[str]:
    """Return the words that a reader of the page sees."""
    parser = _Words()
    parser.feed(_INLINE.sub("", html))
    parser.close()
    return parser.words


def words_of_text(text: str) -> list[str]:
    """Return the words of the text; the numbers of steps are written by the browser in HTML."""
    return re.sub(r"(?m)^(\d+\.|[-*]) ", "", text).split()


def check_equal_in_content(text: str, html: str) -> None:
    """Check that both say the same, word by word; headings are in capitals where there is no larger type."""
    assert [word.casefold() for word in words_of_text(text)] == [
        word.casefold() for word in words_of_html(html)
    ]


@dataclass(slots=True)
class Outline:
    """How a page is built."""

    language: str = ""
    headings: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    """How many each list has."""
    links: list[str] = field(default_factory=list)


def outline_of_html(html: str) -> Outline:
    """Return the build of a page: the levels of its headings, the lengths of its lists, its links."""
    parser = _Outline()
    parser.feed(html)
    parser.close()
    return parser.outline


def outline_of_text(text: str) -> list[int]:
    """Return the lengths of the numbered lists."""
    numbers = [int(number) for number in re.findall(r"(?m)^(\d+)\. ", text)]
    ends = [
        index for index, number in enumerate(numbers) if index + 1 == len(numbers) or numbers[index + 1] == 1
    ]
    return [numbers[end] for end in ends]


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _UNSEEN:
            self._unseen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.words += data.split()


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outline = Outline()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "html":
            self.outline.language = attributes.get("lang") or ""
        elif re.fullmatch(r"h[1-6]", tag):
            self.outline.headings.append(tag)
        elif tag in {"ol", "ul"}:
            self.outline.steps.append(0)
        elif tag == "li":
            self.outline.steps[-1] += 1
        elif tag == "a":
            self.outline.links.append(attributes.get("href") or "")
