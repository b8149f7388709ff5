"""Where is a CRL put together? In a thread while it is short, in a process of its own where it is long.

cryptography's builder holds the interpreter lock: a thread that encodes 10,000 entries keeps the event loop
waiting for 20 ms, one that encodes a million for seconds. The process (`directory.crl_process`) is given the
entries page by page, as they are read, so none here holds a long list. It lints and encodes; the issuer's key
stays here, and signs when it is asked.
"""

import asyncio
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import LintFailed, SigningRefused
from ca.revocation import CrlIssuer, PreparedCrl, RevokedCertificate
from directory.crl_frames import LENGTH, Orders, Tag, framed
from directory.crls import StandingIssuer

LONGEST_IN_A_THREAD: Final = 10_000
"""Entries."""

Pages: TypeAlias = AsyncIterator[Sequence[RevokedCertificate]]
OpenCrlIssuer: TypeAlias = Callable[[StandingIssuer], CrlIssuer]
"""Opens the sealed key of an issuer that has one. Raises CaError if it does not open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCrl:
    """A CRL that was linted and signed."""

    der: bytes
    entries: int


class CrlBuilder(Protocol):
    """Puts CRLs together."""

    async def build(self, standing: StandingIssuer, prepared: PreparedCrl, pages: Pages) -> BuiltCrl:
        """Lint and sign what was prepared, with the entries of the pages.

        Raises:
            CaError: the issuer's key does not open, or the CRL breaks a rule, or was not signed.
        """
        ...


class ThreadOrProcess:
    """Builds where it does not keep the event loop waiting."""

    def __init__(self, open_issuer: OpenCrlIssuer, *, longest_in_a_thread: int = LONGEST_IN_A_THREAD) -> None:
        self._open_issuer = open_issuer
        self._longest = longest_in_a_thread

    async def build(self, standing: StandingIssuer, prepared: PreparedCrl, pages: Pages) -> BuiltCrl:
        """Lint and sign; which way is found out while the entries are read."""
        issuer = await asyncio.to_thread(self._open_issuer, standing)
        entries: list[RevokedCertificate] = []
        async for page in pages:
            entries += page
            if len(entries) > self._longest:
                return await _built_elsewhere(issuer, standing, prepared, entries, pages)
        crl = await asyncio.to_thread(issuer.issue, replace(prepared, revoked=entries))
        return BuiltCrl(der=crl.public_bytes(Encoding.DER), entries=len(entries))


async def _built_elsewhere(
    issuer: CrlIssuer,
    standing: StandingIssuer,
    prepared: PreparedCrl,
    first: Sequence[RevokedCertificate],
    rest: Pages,
) -> BuiltCrl:
    async with _process() as process:
        reader, writer = process.stdout, process.stdin
        if reader is None or writer is None:
            raise AssertionError("both are pipes")
        try:
            orders = Orders(certificate=standing.certificate, scheme=issuer.scheme, prepared=prepared)
            writer.write(framed(orders.encoded()))
            entries = await _write_page(writer, first)
            async for page in rest:
                entries += await _write_page(writer, page)
            writer.write(framed(b""))
            while True:
                tag, content = await _read(reader)
                match tag:
                    case Tag.TO_BE_SIGNED:
                        writer.write(framed(await asyncio.to_thread(issuer.unsafe_sign, content)))
                    case Tag.BUILT:
                        return BuiltCrl(der=content, entries=entries)
                    case Tag.FOUND_WANTING:
                        raise LintFailed(tuple(content.decode().splitlines()))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            # It has said why on standard error, which is ours.
            raise SigningRefused("was not built: the process that builds it has ended", what="CRL") from error


async def _write_page(writer: asyncio.StreamWriter, page: Sequence[RevokedCertificate]) -> int:
    writer.write(framed(pickle.dumps(page)))
    await writer.drain()
    return len(page)


async def _read(reader: asyncio.StreamReader) -> tuple[Tag, bytes]:
    frame = await reader.readexactly(int.from_bytes(await reader.readexactly(LENGTH)))
    return Tag(frame[:1]), frame[1:]


@asynccontextmanager
async def _process() -> AsyncIterator[Process]:
    """Start the process; end it whatever happens."""
    # In a process group of its own: Control-C at the terminal is this process' to hear.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "directory.crl_process"), stdin=PIPE, stdout=PIPE, process_group=0
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
