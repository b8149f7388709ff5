"""When is a recipient domain left alone? After many of an organization's mails to it came back in short time.

Somebody is guessing addresses then, or the domain refuses this organization; either way more mails make it
worse, and certificates for mailboxes that do not exist help nobody. What was minted before stays.
"""

from datetime import timedelta
from typing import Final

MOST_HARD_BOUNCES: Final = 10
"""With this many mailboxes within `WITHIN` the domain is paused for the organization."""
WITHIN: Final = timedelta(hours=1)
PAUSE: Final = timedelta(hours=24)
"""How long nothing is minted for it, unless an operator ends it earlier."""
