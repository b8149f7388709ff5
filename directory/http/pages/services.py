"""What do the recipient pages need from the rest of the house?"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from directory.http.pages.rendering import Sender
from directory.links import PresentedLink
from directory.organization import Organization
from directory.proof import ProofAnswer
from directory.recipient import RecipientDesk
from directory.suppression import StopAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class PageServices:
    """Everything the pages use."""

    desk: RecipientDesk
    prove: Callable[[PresentedLink], Awaitable[ProofAnswer]]
    """How it is recorded that a recipient can decrypt: `ProofDesk.prove`."""
    stop: Callable[[PresentedLink], Awaitable[StopAnswer]]
    """How all mail to an address is stopped: `OptOut.stop`."""
    sender_of: Callable[[Organization], Sender]
    """How an organization is shown: its name, contact and logo, each harmless."""
