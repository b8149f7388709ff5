"""A name server on loopback, over UDP and TCP, that says what it is told, with AD as it is told."""

import asyncio
import struct
from asyncio import DatagramProtocol, DatagramTransport, StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from dns.rdatatype import RdataType

from directory.delivery.exchanges.settings import NameServer

_LARGEST_DATAGRAM = 512
_LARGEST_MESSAGE = 65535


@dataclass(slots=True, kw_only=True)
class FakeDns:
    """Records by name; what is neither there nor failing does not exist."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    secure: bool = False
    insecure_names: set[str] = field(default_factory=set)
    failing: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    over_tcp: int = 0
    port: int = 0

    def add(self, name: str, kind: str, *data: str) -> None:
        self.records.setdefault((name, kind), []).extend(data)

    @property
    def name_server(self) -> NameServer:
        return NameServer(address=ip_address("127.0.0.1"), port=self.port)

    def answer(self, wire: bytes) -> dns.message.Message:
        query = dns.message.from_wire(wire)
        [question] = query.question
        name, kind = question.name.to_text(omit_final_dot=True), RdataType.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if (name, kind) in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        owner = self.aliases.get(name, name)
        if owner != name:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", f"{owner}."))
        data = self.records.get((owner, kind), [])
        if data:
            response.answer.append(dns.rrset.from_text(f"{owner}.", 60, "IN", kind, *data))
        elif not any(known == owner for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if self.secure and name not in self.insecure_names and query.flags & dns.flags.AD:
            response.flags |= dns.flags.AD
        return response


class _Datagrams(DatagramProtocol):
    def __init__(self, served: FakeDns) -> None:
        self._served = served
        self._transport: DatagramTransport | None = None

    def connection_made(self, transport: DatagramTransport) -> None:  # type: ignore[override]  # asyncio's stub says BaseTransport
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = self._served.answer(data)
        wire = response.to_wire(max_size=_LARGEST_MESSAGE)
        if len(wire) > _LARGEST_DATAGRAM:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire(max_size=_LARGEST_MESSAGE)
        assert self._transport is not None
        self._transport.sendto(wire, addr)


@asynccontextmanager
async def name_server(served: FakeDns | None = None) -> AsyncIterator[FakeDns]:
    """Run a name server on one free port, over UDP and TCP."""
    served = served or FakeDns()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        served.over_tcp += 1
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = served.answer(await reader.readexactly(length)).to_wire(max_size=_LARGEST_MESSAGE)
            writer.write(struct.pack("!H", len(wire)) + wire)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(served), local_addr=("127.0.0.1", served.port)
    )
    try:
        yield served
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
