"""How are mails sent? The operator's numbers for delivery, as one frozen value."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from directory.delivery.retry import Backoff
from directory.errors import ConfigurationRefused

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpTimeouts:
    """How long a smart host may be silent (RFC 5321 section 4.5.3.2)."""

    connect: timedelta = timedelta(seconds=30)
    """Until the connection stands, with TLS where that comes first, and until the greeting."""
    command: timedelta = timedelta(minutes=1)
    """Until the reply to any command but DATA."""
    data: timedelta = timedelta(minutes=10)
    """Until the reply to DATA and to the final dot. Short patience here makes duplicates: the mail may have
    been accepted already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """The operator's numbers for delivery.

    Raises:
        ConfigurationRefused: a number is not positive, or `helo_name` is not a host name.
    """

    hold: timedelta = timedelta(days=7)
    """How long the private key is held after acceptance; zero in the strict mode."""
    backoff: Backoff = field(default_factory=Backoff)
    timeouts: SmtpTimeouts = field(default_factory=SmtpTimeouts)
    longest_attempt: timedelta = timedelta(minutes=15)
    """From the claim to the reply; whatever takes longer is cut off and tried again."""
    recording: timedelta = timedelta(minutes=1)
    """How long the worker tries to record an outcome while the store is unavailable."""
    poll: timedelta = timedelta(seconds=30)
    """How often the worker looks for due mail when nobody notifies it."""
    stopping: timedelta = timedelta(seconds=10)
    """How long mails in flight may take to finish when the service stops."""

    in_flight: int = 64
    """How many mails one worker has claimed at a time."""
    connections_per_host: int = 8
    connection_wait: timedelta = timedelta(seconds=5)
    """How long a claimed mail waits for a free connection before it stands back. Short, so that one slow
    smart host does not keep the mails of other organizations waiting."""
    connection_idle: timedelta = timedelta(seconds=10)
    """How long a connection is kept open for the next mail."""
    host_rest: timedelta = timedelta(seconds=30)
    """How long a smart host that could not be reached is left alone; below the shortest back-off."""

    helo_name: str = "localhost"
    """What EHLO says. A name without a dot names nobody beyond this machine: there, the address literal of
    the connection is said instead (RFC 5321 section 4.1.4)."""
    ca_file: Path | None = None
    """PEM certificates that smart hosts may chain to, besides the system's."""
    allow_clear_beyond_loopback: bool = False
    """Whether a smart host that the organization set up without TLS may be on another machine."""

    def __post_init__(self) -> None:
        positive = (
            ("longest_attempt", self.longest_attempt),
            ("recording", self.recording),
            ("poll", self.poll),
            ("connection_wait", self.connection_wait),
            ("timeouts.connect", self.timeouts.connect),
            ("timeouts.command", self.timeouts.command),
            ("timeouts.data", self.timeouts.data),
        )
        for key, period in positive:
            if period <= timedelta(0):
                raise ConfigurationRefused(key=f"delivery.{key}", reason="must be longer than nothing")
        for key, number in (
            ("in_flight", self.in_flight),
            ("connections_per_host", self.connections_per_host),
        ):
            if number < 1:
                raise ConfigurationRefused(key=f"delivery.{key}", reason="must be at least 1")
        if _HOST_NAME.fullmatch(self.helo_name) is None:
            raise ConfigurationRefused(key="delivery.helo_name", reason="is not a host name")

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts: longer than any attempt with its record can take.

        Were it shorter, a second worker would send the mail again while the first is still at it. An attempt
        that is cut off just as a reply comes may last for one more command.
        """
        return self.longest_attempt + self.timeouts.data + 2 * self.recording
