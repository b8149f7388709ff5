"""Where does one message end and the next begin? Cuts a stream of octets into PDUs, measured before buffered.

Knows the outermost element of a message (RFC 4511 section 4.1.1) and nothing inside it.
"""

from directory.ldap.ber import SEQUENCE, read_length
from directory.ldap.errors import MalformedPdu


class Framer:
    """Collects octets and hands out complete PDUs.

    A PDU longer than `limit` is refused as soon as its length octets are there; so no more than the limit,
    and what arrived together with it, is ever kept.
    """

    __slots__ = ("_buffer", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._start = 0

    @property
    def pending(self) -> int:
        """How many octets wait: complete PDUs not yet taken, and the beginning of the next."""
        return len(self._buffer) - self._start

    def is_one_pdu(self, data: bytes) -> bool:
        """Whether these octets, fed now, would be one complete PDU and nothing else."""
        if self._buffer or not 1 < len(data) <= self.limit or data[0] != SEQUENCE:
            return False
        try:
            measured = read_length(data, 1, len(data))
        except MalformedPdu:
            return False
        return measured is not None and sum(measured) == len(data)

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next_pdu(self) -> bytes | None:
        """Return the next complete PDU, its header included; None while it is not complete.

        Raises:
            MalformedPdu: what comes next is no PDU, or is longer than the limit.
        """
        buffer, start, end = self._buffer, self._start, len(self._buffer)
        if start == end:
            return None
        if buffer[start] != SEQUENCE:
            raise MalformedPdu("not an LDAP message")
        measured = read_length(buffer, start + 1, end)
        if measured is None:
            return None
        length, content = measured
        stop = content + length
        if stop - start > self.limit:
            raise MalformedPdu("a message longer than the limit")
        if stop > end:
            return None
        pdu = bytes(buffer[start:stop])
        if stop == end:
            buffer.clear()
            self._start = 0
        else:
            self._start = stop
        return pdu
