"""Attack: an address that two parts of the mail chain read differently.

Whoever finds one gets a certificate for his own key under another person's address, or another person's key
package in his own mailbox. Each case is a text that some parser, mail server, gateway or library has accepted
as an address it is not. Here all are refused, each for the right reason.
"""

import contextlib
import email.utils

import pytest

from ca.address import AddressRefusal, Mailbox
from ca.errors import AddressRefused

Cases = dict[str, tuple[str, AddressRefusal]]

# RFC 5322 offers many ways to hide a second address in one text.
HIDDEN_IN_SYNTAX: Cases = {
    "comment after the domain, which parseaddr joins to another domain": (
        "user@example.com(x)evil.com",
        AddressRefusal.SYNTAX,
    ),
    "comment before the local part": ("(evil@evil.com)user@example.com", AddressRefusal.SYNTAX),
    "comment between local part and @": ("user(comment)@example.com", AddressRefusal.SYNTAX),
    "nested comments": ("user@((((((((((x))))))))))example.com", AddressRefusal.SYNTAX),
    "comment that is never closed": ("user@example.com(", AddressRefusal.SYNTAX),
    "display name that is an address itself": (
        "alice@example.com <bob@example.org>",
        AddressRefusal.WHITE_SPACE,
    ),
    "the same without the space": ("alice@example.com<bob@example.org>", AddressRefusal.SYNTAX),
    "angle brackets alone": ("<user@example.com>", AddressRefusal.SYNTAX),
    "angle bracket in the middle of the domain": ("user@example.com>evil.com", AddressRefusal.SYNTAX),
    "display name in quotes": ('"alice@example.com"<bob@example.org>', AddressRefusal.SYNTAX),
    "group": ("group:user@example.com;", AddressRefusal.SYNTAX),
    "group with a semicolon in quotes": ('group:"a;b"@example.com;', AddressRefusal.SYNTAX),
    "empty group": ("undisclosed-recipients:;", AddressRefusal.SYNTAX),
    "two addresses with a comma": ("user@example.com,evil@evil.com", AddressRefusal.SYNTAX),
    "two addresses with a semicolon": ("user@example.com;evil@evil.com", AddressRefusal.SYNTAX),
    "two at signs": ("user@evil.com@example.com", AddressRefusal.SYNTAX),
    "backslash before the at sign": ("user\\@evil.com@example.com", AddressRefusal.SYNTAX),
    "mailto URI": ("mailto:user@example.com", AddressRefusal.SYNTAX),
    "header fields of a mailto URI": ("user@example.com?bcc=evil@evil.com", AddressRefusal.SYNTAX),
    "percent-encoded at sign": ("user%40evil.com@example.com", AddressRefusal.SOURCE_ROUTE),
    "domain alone": ("@example.com", AddressRefusal.SYNTAX),
    "local part alone": ("user", AddressRefusal.SYNTAX),
    "local part and at sign alone": ("user@", AddressRefusal.DOMAIN),
    "leading dot": (".user@example.com", AddressRefusal.SYNTAX),
    "trailing dot in the local part": ("user.@example.com", AddressRefusal.SYNTAX),
    "two dots": ("us..er@example.com", AddressRefusal.SYNTAX),
    "nothing": ("", AddressRefusal.EMPTY),
}

QUOTED: Cases = {
    "address with white space in the quotes, delivered to gmail.com by nodemailer": (
        '"xclow3n@gmail.com x"@internal.domain',
        AddressRefusal.WHITE_SPACE,
    ),
    "address in the quotes": ('"evil@evil.com"@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "quotes and a comment": ('"user"@example.com(x)evil.com', AddressRefusal.SYNTAX),
    "quotes around an ordinary local part": ('"user"@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "quoted pair": ('"us\\"er"@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "quotes around one word only": ('us."er"@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "empty quotes": ('""@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "quote that is never closed": ('"user@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "angle bracket in the quotes": ('">evil@evil.com<"@example.com', AddressRefusal.QUOTED_LOCAL_PART),
    "CRLF in the quotes": ('"a\r\nRCPT TO:<evil@evil.com>"@example.com', AddressRefusal.CONTROL_CHARACTER),
}

# RFC 2047 forbids encoded-words in an addr-spec; decoders that do not care find an address in there.
ENCODED: Cases = {
    "at sign in an encoded-word (CPython issue 152519)": (
        "=?utf-8?q?a=40b?=c@host.com",
        AddressRefusal.ENCODED_WORD,
    ),
    "whole address in an encoded-word": (
        "=?utf-8?b?ZXZpbEBldmlsLmNvbQ==?=@example.com",
        AddressRefusal.ENCODED_WORD,
    ),
    "NUL in an encoded-word": ("=?x?q?evil=40evil.com=3e=00?=foo@example.com", AddressRefusal.ENCODED_WORD),
    "encoded-word in the middle": ("a=?utf-8?q?=40b?=@example.com", AddressRefusal.ENCODED_WORD),
    "encoded-word that never ends": ("=?utf-8?q?a@example.com", AddressRefusal.ENCODED_WORD),
    "encoded-word as domain": ("user@=?utf-8?q?evil=2ecom?=", AddressRefusal.DOMAIN),
    "UTF-7": ("+AEA-evil@[example.com]", AddressRefusal.DOMAIN_LITERAL),
}

# A line break makes a second header field, a second SMTP command, a second log line.
LINES_AND_CONTROLS: Cases = {
    "header field": ("user@example.com\r\nBcc: x@y.com", AddressRefusal.CONTROL_CHARACTER),
    "SMTP command": ("user@example.com>\r\nRCPT TO:<evil@evil.com", AddressRefusal.CONTROL_CHARACTER),
    "line feed alone": ("user@example.com\nevil@evil.com", AddressRefusal.CONTROL_CHARACTER),
    "carriage return alone": ("user@example.com\revil@evil.com", AddressRefusal.CONTROL_CHARACTER),
    "line feed at the very end, which `$` matches": ("user@example.com\n", AddressRefusal.CONTROL_CHARACTER),
    "end of data": ("user@example.com\n.\n", AddressRefusal.CONTROL_CHARACTER),
    "folding white space": ("user@\r\n example.com", AddressRefusal.CONTROL_CHARACTER),
    "NUL at the end": ("user@example.com\0", AddressRefusal.CONTROL_CHARACTER),
    "NUL before another domain": ("user@example.com\0.evil.com", AddressRefusal.CONTROL_CHARACTER),
    "tab": ("us\ter@example.com", AddressRefusal.CONTROL_CHARACTER),
    "escape sequence": ("\x1b[2Juser@example.com", AddressRefusal.CONTROL_CHARACTER),
    "delete": ("user\x7f@example.com", AddressRefusal.CONTROL_CHARACTER),
    "NEXT LINE, a C1 control": ("user@example.com\x85", AddressRefusal.CONTROL_CHARACTER),
    "LINE SEPARATOR": ("user@example.com\u2028", AddressRefusal.CONTROL_CHARACTER),
    "PARAGRAPH SEPARATOR": ("user@example.com\u2029", AddressRefusal.CONTROL_CHARACTER),
    "lone surrogate": ("user@example\ud800.com", AddressRefusal.CONTROL_CHARACTER),
}

# CVE-2026-2748: a gateway accepted certificates whose address was another one but for white space.
SPACES: Cases = {
    "leading space": (" user@example.com", AddressRefusal.WHITE_SPACE),
    "trailing space": ("user@example.com ", AddressRefusal.WHITE_SPACE),
    "inner space": ("us er@example.com", AddressRefusal.WHITE_SPACE),
    "space before the at sign": ("user @example.com", AddressRefusal.WHITE_SPACE),
    "space in the domain": ("user@example .com", AddressRefusal.WHITE_SPACE),
    "no-break space": ("user@example.com\u00a0", AddressRefusal.WHITE_SPACE),
    "ideographic space": ("user\u3000@example.com", AddressRefusal.WHITE_SPACE),
    "en quad": ("\u2000user@example.com", AddressRefusal.WHITE_SPACE),
}

# Two texts that look alike are two recipients, or one recipient with two certificates.
INVISIBLE: Cases = {
    "zero width space": ("us\u200ber@example.com", AddressRefusal.CONTROL_CHARACTER),
    "zero width non-joiner": ("user@exam\u200cple.com", AddressRefusal.CONTROL_CHARACTER),
    "zero width joiner": ("user@exam\u200dple.com", AddressRefusal.CONTROL_CHARACTER),
    "zero width non-joiner where IDNA2008 allows it": (
        "user@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com",
        AddressRefusal.CONTROL_CHARACTER,
    ),
    "the same as A-label": ("user@xn--mgba3gch31f060k.com", AddressRefusal.DOMAIN),
    "byte order mark": ("\ufeffuser@example.com", AddressRefusal.CONTROL_CHARACTER),
    "word joiner": ("user@\u2060example.com", AddressRefusal.CONTROL_CHARACTER),
    "soft hyphen": ("user@exam\u00adple.com", AddressRefusal.CONTROL_CHARACTER),
    "right-to-left override": ("user@\u202emoc.elpmaxe", AddressRefusal.CONTROL_CHARACTER),
    "left-to-right isolate": ("\u2066user@example.com\u2069", AddressRefusal.CONTROL_CHARACTER),
    "right-to-left mark": ("user\u200f@example.com", AddressRefusal.CONTROL_CHARACTER),
    "Mongolian vowel separator": ("user@exam\u180eple.com", AddressRefusal.CONTROL_CHARACTER),
    "tag characters": ("user@example.com\U000e0041", AddressRefusal.CONTROL_CHARACTER),
    "variation selector": ("user@example\ufe0f.com", AddressRefusal.DOMAIN),
    "hangul filler": ("user@exam\u3164ple.com", AddressRefusal.DOMAIN),
    "braille blank": ("user@exam\u2800ple.com", AddressRefusal.DOMAIN),
    "combining grapheme joiner": ("user@exam\u034fple.com", AddressRefusal.DOMAIN),
}

# What case folding or compatibility mapping (UTS 46, NFKC) turns into plain ASCII.
MAPPED_TO_ASCII: Cases = {
    "KELVIN SIGN in the domain": ("user@\u212aelvin.com", AddressRefusal.DOMAIN),
    "KELVIN SIGN in the local part": ("\u212aelvin@example.com", AddressRefusal.NON_ASCII_LOCAL_PART),
    "LONG S in the domain": ("user@example\u017f.com", AddressRefusal.DOMAIN),
    "LONG S in the local part": ("u\u017fer@example.com", AddressRefusal.NON_ASCII_LOCAL_PART),
    "full-width letters": ("user@\uff45\uff56\uff49\uff4c.com", AddressRefusal.DOMAIN),
    "full-width at sign": ("user\uff20example.com", AddressRefusal.SYNTAX),
    "full-width at sign before another": (
        "user\uff20evil.com@example.com",
        AddressRefusal.NON_ASCII_LOCAL_PART,
    ),
    "small commercial at": ("user\ufe6bevil.com@example.com", AddressRefusal.NON_ASCII_LOCAL_PART),
    "ideographic full stop": ("user@example\u3002com", AddressRefusal.DOMAIN),
    "full-width full stop": ("user@example\uff0ecom", AddressRefusal.DOMAIN),
    "half-width ideographic full stop": ("user@example\uff61com", AddressRefusal.DOMAIN),
    "one dot leader": ("user@example\u2024com", AddressRefusal.DOMAIN),
    "full-width solidus": ("user@example.com\uff0f.evil.com", AddressRefusal.DOMAIN),
    "account of, which becomes a/c": ("user@evil.c\u2100.example.com", AddressRefusal.DOMAIN),
    "circled letters": ("user@\u24d4vil.com", AddressRefusal.DOMAIN),
    "mathematical letters": ("user@\U0001d41evil.com", AddressRefusal.DOMAIN),
    "ligature": ("user@of\ufb01ce.com", AddressRefusal.DOMAIN),
    "superscript digit": ("user@example\u00b9.com", AddressRefusal.DOMAIN),
    "Turkish capital dotted I": ("user@\u0130stanbul.com", AddressRefusal.DOMAIN),
    "Turkish dotless i in the local part": ("\u0131nfo@example.com", AddressRefusal.NON_ASCII_LOCAL_PART),
    "upper-case umlaut": ("user@\u00d6BB.com", AddressRefusal.DOMAIN),
    "capital sigma": ("user@\u03a3.com", AddressRefusal.DOMAIN),
    "not in normalization form C": ("user@o\u0308bb.com", AddressRefusal.DOMAIN),
    "UTF-8 local part": ("anna.m\u00fcller@example.com", AddressRefusal.NON_ASCII_LOCAL_PART),
}

DOMAINS: Cases = {
    "trailing dot": ("user@example.com.", AddressRefusal.DOMAIN),
    "IPv4 literal": ("user@[192.0.2.1]", AddressRefusal.DOMAIN_LITERAL),
    "IPv6 literal": ("user@[IPv6:::1]", AddressRefusal.DOMAIN_LITERAL),
    "literal around a name": ("user@[example.com]", AddressRefusal.DOMAIN_LITERAL),
    "literal with a second address": ("user@[evil@evil.com]", AddressRefusal.SYNTAX),
    "IPv4 address": ("user@192.0.2.1", AddressRefusal.DOMAIN),
    "IPv4 address in hexadecimal": ("user@192.0x2.0x1", AddressRefusal.DOMAIN),
    "IPv4 address as one number": ("user@3221225985", AddressRefusal.DOMAIN),
    "numeric top level": ("user@example.123", AddressRefusal.DOMAIN),
    "one label": ("user@localhost", AddressRefusal.DOMAIN),
    "empty label": ("user@example..com", AddressRefusal.DOMAIN),
    "underscore": ("user@ex_ample.com", AddressRefusal.DOMAIN),
    "leading hyphen": ("user@-example.com", AddressRefusal.DOMAIN),
    "port": ("user@example.com:25", AddressRefusal.SYNTAX),
    "path": ("user@example.com/x", AddressRefusal.DOMAIN),
    "wildcard": ("user@*.example.com", AddressRefusal.DOMAIN),
    "Punycode of plain ASCII": ("user@xn--example-.com", AddressRefusal.DOMAIN),
    "second spelling of one U-label": ("user@xn---bbk.com", AddressRefusal.DOMAIN),
    "Punycode of a full-width letter": ("user@xn--vil-376s.com", AddressRefusal.DOMAIN),
    "Punycode that overflows": ("user@xn--99999999999.com", AddressRefusal.DOMAIN),
    "Punycode twice": ("user@xn--xn---epa.com", AddressRefusal.DOMAIN),
    "reserved hyphens": ("user@ab--cd.com", AddressRefusal.DOMAIN),
    "emoji": ("user@i\u2764.ws", AddressRefusal.DOMAIN),
}

ROUTES: Cases = {
    "source route": ("@hop.example:user@example.com", AddressRefusal.SOURCE_ROUTE),
    "source route in angle brackets": ("<@hop.example,@b.example:user@example.com>", AddressRefusal.SYNTAX),
    "source route without colon": ("@hop.example@example.com", AddressRefusal.SOURCE_ROUTE),
    "percent hack": ("user%evil.com@example.com", AddressRefusal.SOURCE_ROUTE),
    "bang path": ("evil.com!user@example.com", AddressRefusal.SOURCE_ROUTE),
    "bang path and percent hack": ("evil.com!user%b.example@example.com", AddressRefusal.SOURCE_ROUTE),
}

# The address reaches LDAP filters, file names, shells and templates of others, if not ours.
INJECTIONS: Cases = {
    "LDAP presence filter": ("*", AddressRefusal.SYNTAX),
    "LDAP filter": (")(mail=*", AddressRefusal.SYNTAX),
    "LDAP filter escape": ("\\2a", AddressRefusal.SYNTAX),
    "LDAP filter around an address": ("*)(mail=user@example.com", AddressRefusal.SYNTAX),
    "distinguished name": ("user@example.com,o=evil", AddressRefusal.SYNTAX),
    "script": ("<script>alert(1)</script>@example.com", AddressRefusal.SYNTAX),
    "shell substitution": ("$(id)@example.com", AddressRefusal.SYNTAX),
    "template": ("{{7*7}}{%x%}@example.com", AddressRefusal.SOURCE_ROUTE),
    "second line for a multi-line pattern": ("evil\nuser@example.com", AddressRefusal.CONTROL_CHARACTER),
}

TOO_LONG: Cases = {
    "local part of 65 octets": ("x" * 65 + "@example.com", AddressRefusal.TOO_LONG),
    "address of 255 octets": ("x@" + "a." * 124 + "comme", AddressRefusal.TOO_LONG),
    "label of 64 octets": ("user@" + "x" * 64 + ".com", AddressRefusal.DOMAIN),
    "64 KiB of opening parentheses": ("(" * 65536, AddressRefusal.TOO_LONG),
    "64 KiB of quoted pairs": ('"' + "\\a" * 32768 + '"@example.com', AddressRefusal.TOO_LONG),
}

ALL_CASES: Cases = {
    f"{family}: {name}": case
    for family, cases in {
        "syntax": HIDDEN_IN_SYNTAX,
        "quoted": QUOTED,
        "encoded": ENCODED,
        "controls": LINES_AND_CONTROLS,
        "spaces": SPACES,
        "invisible": INVISIBLE,
        "mapped": MAPPED_TO_ASCII,
        "domains": DOMAINS,
        "routes": ROUTES,
        "injections": INJECTIONS,
        "too long": TOO_LONG,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize(("text", "expected"), ALL_CASES.values(), ids=ALL_CASES.keys())
def test_refuses(text: str, expected: AddressRefusal) -> None:
    with pytest.raises(AddressRefused) as refused:
        Mailbox.parse(text)
    assert AddressRefusal(refused.value.code) is expected


BEYOND_ASCII: Cases = {
    "KELVIN SIGN": ("\u212aelvin@example.com", AddressRefusal.LOCAL_PART_NOT_NORMAL),
    "LONG S": ("u\u017fer@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "full-width at sign": ("user\uff20evil.com@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "small commercial at": ("user\ufe6bevil.com@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "full-width exclamation mark": ("evil\uff01user@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "full-width per cent": ("user\uff05evil@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "full-width full stop": ("user\uff0eä@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "fraction slash": ("user\u2044ä@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "ligature": ("of\ufb01ce@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "mathematical letter": ("\U0001d41evil@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "decomposed umlaut": ("mu\u0308ller@example.com", AddressRefusal.LOCAL_PART_NOT_NORMAL),
    "letter that nobody sees": ("user\u3164@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
    "soft hyphen": ("us\u00ader@example.com", AddressRefusal.CONTROL_CHARACTER),
    "right-to-left override": ("user\u202eä@example.com", AddressRefusal.CONTROL_CHARACTER),
    "two directions": ("user\u05d0@example.com", AddressRefusal.LOCAL_PART_CHARACTER),
}


@pytest.mark.parametrize(("text", "expected"), BEYOND_ASCII.values(), ids=BEYOND_ASCII)
def test_refuses_where_local_parts_go_beyond_ascii(text: str, expected: AddressRefusal) -> None:
    with pytest.raises(AddressRefused) as refused:
        Mailbox.parse_international(text)
    assert AddressRefusal(refused.value.code) is expected


@pytest.mark.parametrize(("text", "expected"), ALL_CASES.values(), ids=ALL_CASES)
def test_there_every_other_refusal_stays_the_same(text: str, expected: AddressRefusal) -> None:
    if expected is AddressRefusal.NON_ASCII_LOCAL_PART:
        with contextlib.suppress(AddressRefused):
            assert str(Mailbox.parse_international(text)) == text
        return
    with pytest.raises(AddressRefused) as refused:
        Mailbox.parse_international(text)
    assert AddressRefusal(refused.value.code) is expected


def test_the_corpus_meets_every_refusal() -> None:
    every = [*ALL_CASES.values(), *BEYOND_ASCII.values()]
    assert {expected for _, expected in every} == set(AddressRefusal)


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com(x)evil.com",
        "user@example.com\r\nBcc: x@y.com",
        "<user@example.com>",
        "user (comment) @example.com",
    ],
)
def test_refuses_what_the_lenient_parser_of_the_standard_library_repairs(text: str) -> None:
    _, repaired = email.utils.parseaddr(text)
    assert repaired != text
    with pytest.raises(AddressRefused):
        Mailbox.parse(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user@xn--pple-43d.com", "user@apple.com"),  # a Cyrillic a
        ("user@xn--e1awd7f.com", "user@epic.com"),  # all Cyrillic
        ("user@faß.de", "user@fass.de"),
        ("user@xn--fa-hia.de", "user@fass.de"),
        ("user@xn--nxasmm1c.com", "user@xn--nxasmq6b.com"),  # βόλος with final and with medial sigma
        ("userI@example.com", "user1@example.com"),
    ],
)
def test_never_unites_look_alikes(one: str, other: str) -> None:
    assert Mailbox.parse(one).key != Mailbox.parse(other).key


def test_a_thousand_tags_are_a_thousand_recipients_and_one_rate_limit() -> None:
    flood = [Mailbox.parse(f"victim+{number}@example.com") for number in range(1000)]
    assert len({mailbox.key for mailbox in flood}) == 1000
    assert {mailbox.base_key for mailbox in flood} == {"victim@example.com"}
