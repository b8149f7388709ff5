"""How is one mail handed to one server? A session: connect, protect, authenticate, submit; mail by mail.

What went wrong is an answer (`replies`), not an exception. Knows nothing of what is in a mail, nor of who
waits for a session.
"""

import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiosmtplib
from aiosmtplib import SMTPResponse

from ca.address import Mailbox
from directory.access import is_loopback
from directory.delivery.replies import (
    SMTP_ERRORS,
    Accepted,
    Failure,
    Outcome,
    Permanent,
    Phase,
    Transient,
    is_reply,
    judge_error,
    judge_reply,
)
from directory.delivery.settings import DeliverySettings, SmtpTimeouts
from directory.delivery.text import one_line
from directory.delivery.tls_faults import TlsFault
from directory.errors import ConfigurationRefused
from directory.organization import SmartHost, SmtpSecurity

_LONGEST_RESPONSE = 200
_GOODBYE_SECONDS = 2.0
_PRINTABLE = range(0x21, 0x7F)
_NO_SMTPUTF8 = "5.6.7 the server does not offer SMTPUTF8, without which nothing gets to this address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message for one recipient."""

    envelope_id: str
    """Comes back in delivery status notifications (RFC 3461 section 4.4)."""
    sender: Mailbox
    recipient: Mailbox
    message: bytes = field(repr=False)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what a smart host must prove: a certificate that chains to a trusted one and has its name.

    Trusted are the system's certificates and those of `ca_file`.

    Raises:
        ConfigurationRefused: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # ssl.SSLError among them
            reason = f"{ca_file} holds no certificates: {error.strerror}"
            raise ConfigurationRefused(key="delivery.ca_file", reason=reason) from error
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One address of a mail exchanger, and what the connection to it must prove."""

    host: str
    """The exchanger's name: what it must call itself in TLS, where that counts."""
    address: str
    port: int
    tls: ssl.SSLContext = field(repr=False)
    check: Callable[[ssl.SSLObject], TlsFault | None] = field(repr=False)
    """Looks at what the server showed before anything is said under TLS; returns what is wrong with it."""


class _Failed(Exception):
    """Ends a conversation early; never leaves this module."""

    def __init__(self, verdict: Transient | Permanent) -> None:
        super().__init__()
        self.verdict = verdict


class SmtpSession:
    """A connection to a smart host over which mails are submitted one after the other.

    Everything the smart host said before TLS is forgotten when TLS begins (RFC 3207 section 4.2), including
    what somebody on the way slipped in behind its reply to STARTTLS.
    """

    def __init__(self, client: aiosmtplib.SMTP, timeouts: SmtpTimeouts, host: str) -> None:
        self._host = host
        self._client = client
        self._timeouts = timeouts
        self._in_transaction = False

    @classmethod
    async def open(
        cls, host: SmartHost, *, password: str | None, tls: ssl.SSLContext, settings: DeliverySettings
    ) -> "SmtpSession | Transient":
        """Connect, greet, protect and authenticate as the organization set it up, or say what failed.

        The password is shown under TLS or to this machine only, and no mail goes to another machine in clear
        unless the operator allowed it.
        """
        client = aiosmtplib.SMTP(
            hostname=host.host,
            port=host.port,
            local_hostname=settings.helo_name,
            timeout=settings.timeouts.command.total_seconds(),
            use_tls=host.security is SmtpSecurity.IMPLICIT,
            start_tls=False,  # aiosmtplib would do it within `connect`, where no phase is told from another
            tls_context=tls,
        )
        session = cls(client, settings.timeouts, host.host)
        return await session._opened(partial(session._introduce, host, password, settings))

    @classmethod
    async def open_door(cls, door: Door, *, settings: DeliverySettings) -> "SmtpSession | Transient":
        """Connect to a mail exchanger, greet and protect, or say what failed. Never in clear."""
        client = aiosmtplib.SMTP(
            hostname=door.address,
            port=door.port,
            local_hostname=settings.helo_name,
            timeout=settings.timeouts.command.total_seconds(),
            use_tls=False,
            start_tls=False,
            tls_context=door.tls,
        )
        session = cls(client, settings.timeouts, door.host)
        return await session._opened(partial(session._enter, door, settings))

    async def _opened(self, introduce: Callable[[], Awaitable[None]]) -> "SmtpSession | Transient":
        try:
            async with _during(Phase.CONNECT):
                await self._client.connect(timeout=self._timeouts.connect.total_seconds())
            await introduce()
        except _Failed as failed:
            self._client.close()
            # The verdicts before MAIL are all transient.
            return Transient(failure=failed.verdict.failure)
        except BaseException:
            self._client.close()
            raise
        return self

    @property
    def is_usable(self) -> bool:
        """Whether another mail may be submitted: connected, and no transaction was left half done."""
        return self._client.is_connected and not self._in_transaction

    async def reset(self) -> bool:
        """Ask for a clean slate (RSET); return whether the smart host granted it, and hang up if not."""
        granted = False
        try:
            if self.is_usable:
                with contextlib.suppress(*SMTP_ERRORS):
                    granted = _is_positive(await self._client.execute_command(b"RSET"))
        finally:
            if not granted:
                self._client.close()
        return granted

    async def submit(self, envelope: Envelope) -> Outcome:
        """Hand over one message for one recipient; `Accepted` only if the smart host said so to the end.

        A recipient whose local part is not ASCII takes a server that offers SMTPUTF8: where it does not, no
        later attempt will help, and nothing is said at all (RFC 6531 sections 3.5 and 3.6).

        If the session breaks after the final dot, the mail may have been accepted all the same: it will be
        sent again, and arrive twice, under one Message-ID.
        """
        if envelope.recipient.is_international and not self._client.supports_extension("smtputf8"):
            return Permanent(failure=Failure(phase=Phase.EHLO, reason=_NO_SMTPUTF8))
        self._in_transaction = True
        try:
            async with _during(Phase.MAIL):
                _require(Phase.MAIL, await self._command(b"MAIL FROM", envelope.sender, self._mail(envelope)))
            async with _during(Phase.RCPT):
                _require(
                    Phase.RCPT, await self._command(b"RCPT TO", envelope.recipient, self._rcpt(envelope))
                )
            async with _during(Phase.DATA):
                timeout = self._timeouts.data.total_seconds()
                response = await self._client.data(envelope.message, timeout=timeout)
        except _Failed as failed:
            # A reply, even a refusing one, leaves the session in step; anything else does not.
            self._in_transaction = failed.verdict.failure.reply is None
            return failed.verdict
        self._in_transaction = False
        said = one_line(f"{response.code} {response.message}", longest=_LONGEST_RESPONSE)
        return Accepted(response=said, host=self._host)

    async def close(self) -> None:
        """Say goodbye if that is possible, and hang up."""
        try:
            if self.is_usable:
                with contextlib.suppress(*SMTP_ERRORS):
                    await self._client.execute_command(b"QUIT", timeout=_GOODBYE_SECONDS)
        finally:
            self._client.close()

    async def _introduce(self, host: SmartHost, password: str | None, settings: DeliverySettings) -> None:
        async with _during(Phase.CONNECT):
            peer_is_loopback = is_loopback(self._client.get_transport_info("peername")[0])
        protected = host.security is not SmtpSecurity.CLEAR
        if not protected and not peer_is_loopback and not settings.allow_clear_beyond_loopback:
            raise _failed(Phase.TLS, "the smart host is on another machine and set up without TLS")
        async with _during(Phase.EHLO):
            name = self._name(settings.helo_name)
            await self._client.ehlo(hostname=name)
        if host.security is SmtpSecurity.STARTTLS:
            await self._start_tls(host.host, "the smart host")
            async with _during(Phase.EHLO):
                await self._client.ehlo(hostname=name)
        if host.username is not None:
            if not protected and not peer_is_loopback:
                raise _failed(Phase.AUTH, "a password is not sent in clear to another machine")
            await self._authenticate(host.username, password)

    async def _enter(self, door: Door, settings: DeliverySettings) -> None:
        async with _during(Phase.EHLO):
            name = self._name(settings.helo_name)
            await self._client.ehlo(hostname=name)
        await self._start_tls(door.host, "the mail exchanger")
        fault = door.check(self._client.get_transport_info("ssl_object"))
        if fault is not None:
            raise _failed(Phase.TLS, "it did not show the certificate that its domain asks for", fault)
        async with _during(Phase.EHLO):
            await self._client.ehlo(hostname=name)

    async def _start_tls(self, host: str, whom: str) -> None:
        if not self._client.supports_extension("starttls"):
            raise _failed(Phase.TLS, f"{whom} does not offer STARTTLS", TlsFault.NOT_OFFERED)
        async with _during(Phase.TLS):
            timeout = self._timeouts.connect.total_seconds()
            await self._client.starttls(server_hostname=host, timeout=timeout)

    async def _authenticate(self, username: str, password: str | None) -> None:
        if password is None:
            raise _failed(Phase.AUTH, "the organization has no password for its smart host")
        # One try with one mechanism: trying a wrong password under every name locks accounts.
        mechanisms = {
            "plain": self._client.auth_plain,
            "login": self._client.auth_login,
            "cram-md5": self._client.auth_crammd5,
        }
        offered = self._client.server_auth_methods
        chosen = next((mechanisms[name] for name in mechanisms if name in offered), None)
        if chosen is None:
            raise _failed(Phase.AUTH, "the smart host offers no authentication known here")
        async with _during(Phase.AUTH):
            await chosen(username, password)

    async def _command(self, verb: bytes, mailbox: Mailbox, options: list[str]) -> SMTPResponse:
        # Not `SMTP.mail` and `SMTP.rcpt`: they take the address through email.utils.parseaddr, which reads
        # some addresses differently. A Mailbox is one atom-only address already, and a client that refuses
        # control characters in commands stands behind it.
        path = b"%s:<%s>" % (verb, str(mailbox).encode())
        return await self._client.execute_command(path, *(option.encode("ascii") for option in options))

    def _mail(self, envelope: Envelope) -> list[str]:
        options = []
        if self._client.supports_extension("size"):
            options.append(f"SIZE={len(envelope.message)}")
        if self._client.supports_extension("dsn"):
            # HDRS: a notification must not carry the key package back.
            options += ["RET=HDRS", f"ENVID={_xtext(envelope.envelope_id)}"]
        if envelope.recipient.is_international:
            # For this recipient alone: with it, no mail gets past a server without it. Who offers it offers
            # 8BITMIME too, which headers in UTF-8 take (RFC 6531 sections 3.1 and 3.6).
            options += ["BODY=8BITMIME", "SMTPUTF8"]
        return options

    def _rcpt(self, envelope: Envelope) -> list[str]:
        if not self._client.supports_extension("dsn"):
            return []
        # Who forwards the mail will say in a notification to whom it was written.
        return ["NOTIFY=FAILURE,DELAY", f"ORCPT={_typed(envelope.recipient)}"]

    def _name(self, configured: str) -> str:
        if "." in configured:
            return configured
        local = ipaddress.ip_address(self._client.get_transport_info("sockname")[0].partition("%")[0])
        return f"[{local}]" if local.version == 4 else f"[IPv6:{local}]"  # noqa: PLR2004 - IPv4


@asynccontextmanager
async def _during(phase: Phase) -> AsyncIterator[None]:
    """Turn whatever goes wrong in a phase of the conversation into a verdict on the mail."""
    try:
        yield
    except SMTP_ERRORS as error:
        raise _Failed(judge_error(phase, error)) from error


def _require(phase: Phase, response: SMTPResponse) -> None:
    if _is_positive(response):
        return
    if not is_reply(response.code):
        raise _failed(phase, "the server does not speak SMTP")
    raise _Failed(judge_reply(phase, response.code, response.message))


def _is_positive(response: SMTPResponse) -> bool:
    return response.code // 100 == 2  # noqa: PLR2004 - RFC 5321 section 4.2.1: completed


def _failed(phase: Phase, reason: str, tls: TlsFault | None = None) -> _Failed:
    return _Failed(Transient(failure=Failure(phase=phase, reason=reason, tls=tls)))


def _typed(recipient: Mailbox) -> str:
    """Write an original recipient (RFC 3461 section 4.2; beyond ASCII, RFC 6533 section 3)."""
    if recipient.is_international:
        return f"utf-8;{_utf8_xtext(str(recipient))}"
    return f"rfc822;{_xtext(str(recipient))}"


def _utf8_xtext(text: str) -> str:
    """Encode as utf-8-addr-xtext (RFC 6533 section 3), which every server takes, whatever it offers."""
    return "".join(
        character
        if ord(character) in _PRINTABLE and character not in "+=\\"
        else f"\\x{{{ord(character):02X}}}"
        for character in text
    )


def _xtext(text: str) -> str:
    """Encode as xtext (RFC 3461 section 4)."""
    return "".join(
        chr(octet) if octet in _PRINTABLE and octet not in b"+=" else f"+{octet:02X}"
        for octet in text.encode()
    )
