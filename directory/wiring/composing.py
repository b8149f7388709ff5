"""Who writes which mail? The composers by kind, put together for `serve` and for commands that show mails."""

from collections.abc import Mapping
from functools import partial

from directory.delivery.composing import Composer
from directory.delivery.keymail import KeyMailComposer
from directory.delivery.outbox import MailKind
from directory.delivery.packing import pack
from directory.organization import Organization
from directory.wiring.installation import Installation


def composers(installation: Installation) -> Mapping[MailKind, Composer]:
    """Return who writes the mails of each kind."""
    packed = partial(pack, sealer=installation.sealer)
    return {MailKind.KEY: KeyMailComposer(packed)}


class Unsigned:
    """Signs nothing."""

    def sign(self, organization: Organization, message: bytes) -> bytes:
        """Return the message as it is."""
        del organization
        return message
