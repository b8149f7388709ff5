"""Only what we would have written is read; what is read says what was written."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from directory.audit import AuditEvent, AuditKind, ChainHead, chain
from directory.evidence.following import Link, link_of
from directory.evidence.lines import ExportStart, LineUnreadable, event_line, line_of, read_line
from directory.evidence.statements import AuditSigner
from tests.directory.evidence.builders import NOW, a_chain, head_of

SIGNER = AuditSigner.generate()
SUCCESSOR = AuditSigner.generate()
VALUES = (
    ExportStart(at=NOW, node=None, since=0),
    ExportStart(at=NOW, node="node-1/1", since=17),
    SIGNER.beginning(NOW),
    SIGNER.succeeded_by(SUCCESSOR, number=2, at=NOW),
    SIGNER.head(head_of(a_chain()[-1]), NOW),
    SIGNER.end(b"\x01" * 32, NOW),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_written_is_read(value: ExportStart) -> None:
    assert read_line(line_of(value).encode()) == value


@given(
    text=st.text(max_size=40),
    detail=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4),
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_whatever_an_event_says_its_line_says_the_same(
    text: str, detail: dict[str, str], at: datetime
) -> None:
    event = AuditEvent(
        kind=AuditKind.CERTIFICATE_MINTED,
        at=at,
        actor=text,
        subject=text,
        organization_id=text,
        detail=detail,
    )
    chained = chain(ChainHead(node="node-1", sequence=6, hash=b"\x07" * 32), event)
    line = event_line(chained).encode("ascii")

    assert line.count(b"\n") == 1
    assert read_line(line) == link_of(chained)
    content = json.loads(line)["event"]
    assert (content["actor"], content["subject"], content["detail"]) == (text, text, detail)


@given(line=st.binary(max_size=200))
@example(line=b"")
@example(line=b"\n")
@example(line=b"[" * 100_000)
@example(line=b'{"type":"event","hash":"' + b"0" * 64 + b'","event":' + b"[" * 100_000 + b"}\n")
@example(line=b'{"type":[]}\n')
@example(line=b'{"type":"head"}\n')
@example(line=b"1" * 10_000 + b"\n")
def test_whatever_comes_is_refused_and_nothing_worse(line: bytes) -> None:
    with pytest.raises(LineUnreadable):
        read_line(line)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"sequence":20', '"sequence":"20"'),
        ('"sequence":20', '"sequence":20.0'),
        ('"sequence":20', '"sequence":true'),
        ('"sequence":20', '"sequence":2e1'),
        ('"node":"node-1"', '"node":1'),
        ('"node":"node-1"', '"node":"node 1"'),
        ('"node":"node-1"', '"node":"\\u001b[31m"'),
        ('"node":"node-1"', '"node":""'),
        ("+00:00", ""),
        ("+00:00", "Z"),
        ('"at":"', '"at": "'),
        ('"type":"head",', '"type":"head","type":"head",'),
        ('"type":"head"', '"type":"tail"'),
        ("\n", ""),
        ("\n", "\r\n"),
        ("\n", "\n\n"),
    ],
)
def test_another_spelling_is_not_read(written: str, instead: str) -> None:
    line = line_of(SIGNER.head(head_of(a_chain()[-1]), NOW))
    assert written in line

    with pytest.raises(LineUnreadable):
        read_line(line.replace(written, instead).encode())


def test_a_hash_in_other_digits_is_not_the_same() -> None:
    line = event_line(a_chain()[-1])
    digits = line[24:88]

    link = read_line(line.replace(digits, digits.upper()).encode())

    assert isinstance(link, Link)
    assert not link.is_genuine
