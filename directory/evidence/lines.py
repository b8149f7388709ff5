r"""How is evidence written down? JSON lines in one exact form; whatever else says the same is not the same.

    {"type":"export","format":1,"at":…,"node":…,"since":…}       an export begins
    {"type":"key","number":…,"key":…,"public_key":…,…}           a key that signs
    {"type":"event","hash":…,"event":{…}}                        an event
    {"type":"head","node":…,"sequence":…,"hash":…,…}             all up to that event, signed
    {"type":"end","at":…,"key":…,"sha256":…,"signature":…}       all lines before this one, signed

The hash of an event is the SHA-256 of the text between `"event":` and the last brace, octet by octet as it
stands there. No number is other than a whole one, no character beyond ASCII: other ones are `\u` escapes.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from directory.audit import ChainedEvent, content_of
from directory.evidence.following import Link
from directory.evidence.statements import ExportEnd, KeyStatement, SignedHead, moment_text

FORMAT = 1
LONGEST_LINE = 1 << 20
"""In octets, with the line end; what we write is far shorter."""

_HASH_AT = len('{"type":"event","hash":"')
_EVENT_AT = _HASH_AT + 64 + len('","event":')
_NODE = re.compile(r"[!-~]{1,64}")
_EVENT_START = b'{"type":"event","hash":"'
_EVENT_MIDDLE = b'","event":'


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStart:
    """What an export is of."""

    at: datetime
    node: str | None
    """None: of every node."""
    since: int
    """It begins after this event of each node."""


Line = ExportStart | KeyStatement | Link | SignedHead | ExportEnd


class LineUnreadable(Exception):
    """A line is not of the form in which evidence is written."""


def event_line(chained: ChainedEvent) -> str:
    """Write an event."""
    return f'{{"type":"event","hash":"{chained.hash.hex()}","event":{content_of(chained)}}}\n'


def line_of(value: ExportStart | KeyStatement | SignedHead | ExportEnd) -> str:
    """Write anything else."""
    return json.dumps(_document(value), separators=(",", ":"), ensure_ascii=True) + "\n"


def event_text(line: bytes) -> bytes | None:
    """Return what stands in the line of an event, as it was hashed; None of any other line."""
    return line[_EVENT_AT:-2] if line.startswith(_EVENT_START) else None


def read_line(line: bytes) -> Line:
    """Read a line with its end.

    Raises:
        LineUnreadable: it is not exactly what we would have written.
    """
    if line.startswith(_EVENT_START):
        return _read_event(line)
    try:
        document = json.loads(line)
        value = _READERS[document["type"]](document)
        if line_of(value).encode() == line:
            return value
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        pass
    raise LineUnreadable


def _read_event(line: bytes) -> Link:
    content = line[_EVENT_AT:-2]
    try:
        if line[_HASH_AT + 64 : _EVENT_AT] != _EVENT_MIDDLE or line[-2:] != b"}\n":
            raise LineUnreadable
        stated = bytes.fromhex(line[_HASH_AT : _HASH_AT + 64].decode("ascii"))
        document = json.loads(content)
        return Link(
            node=_node(document["node"]),
            sequence=_number(document["sequence"]),
            previous_hash=bytes.fromhex(document["previous"]),
            hash=stated,
            # As text: other digits would be another spelling of the same hash.
            is_genuine=hashlib.sha256(content).hexdigest().encode() == line[_HASH_AT : _HASH_AT + 64],
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise LineUnreadable from None


def _document(value: ExportStart | KeyStatement | SignedHead | ExportEnd) -> dict[str, object]:
    match value:
        case ExportStart():
            return {
                "type": "export",
                "format": FORMAT,
                "at": moment_text(value.at),
                "node": value.node,
                "since": value.since,
            }
        case KeyStatement():
            by = value.predecessors_signature
            return {
                "type": "key",
                "number": value.number,
                "key": value.key_id,
                "public_key": value.public_key.hex(),
                "at": moment_text(value.at),
                "predecessor": value.predecessor_id,
                "own_signature": value.own_signature.hex(),
                "predecessors_signature": None if by is None else by.hex(),
            }
        case SignedHead():
            return {
                "type": "head",
                "node": value.node,
                "sequence": value.sequence,
                "hash": value.hash.hex(),
                "at": moment_text(value.at),
                "key": value.key_id,
                "signature": value.signature.hex(),
            }
        case ExportEnd():
            return {
                "type": "end",
                "at": moment_text(value.at),
                "key": value.key_id,
                "sha256": value.sha256.hex(),
                "signature": value.signature.hex(),
            }


def _node(value: object) -> str:
    # Nothing else is ever the name of a node, and whoever reads a finding may do so on a terminal.
    if isinstance(value, str) and _NODE.fullmatch(value):
        return value
    raise TypeError


def _number(value: object) -> int:
    if type(value) is int:
        return value
    raise TypeError


def _read_start(document: dict[str, Any]) -> ExportStart:
    node = document["node"]
    return ExportStart(
        at=datetime.fromisoformat(document["at"]),
        node=None if node is None else _node(node),
        since=_number(document["since"]),
    )


def _read_key(document: dict[str, Any]) -> KeyStatement:
    by, predecessor = document["predecessors_signature"], document["predecessor"]
    return KeyStatement(
        number=_number(document["number"]),
        public_key=bytes.fromhex(document["public_key"]),
        at=datetime.fromisoformat(document["at"]),
        predecessor_id=None if predecessor is None else bytes.fromhex(predecessor).hex(),
        own_signature=bytes.fromhex(document["own_signature"]),
        predecessors_signature=None if by is None else bytes.fromhex(by),
    )


def _read_head(document: dict[str, Any]) -> SignedHead:
    return SignedHead(
        node=_node(document["node"]),
        sequence=_number(document["sequence"]),
        hash=bytes.fromhex(document["hash"]),
        at=datetime.fromisoformat(document["at"]),
        key_id=bytes.fromhex(document["key"]).hex(),
        signature=bytes.fromhex(document["signature"]),
    )


def _read_end(document: dict[str, Any]) -> ExportEnd:
    return ExportEnd(
        at=datetime.fromisoformat(document["at"]),
        key_id=bytes.fromhex(document["key"]).hex(),
        sha256=bytes.fromhex(document["sha256"]),
        signature=bytes.fromhex(document["signature"]),
    )


_READERS: dict[str, Callable[[dict[str, Any]], ExportStart | KeyStatement | SignedHead | ExportEnd]] = {
    "export": _read_start,
    "key": _read_key,
    "head": _read_head,
    "end": _read_end,
}
