"""Which parts make up the whole? The only room that names concrete adapters."""

from directory.wiring.installation import Installation, migrate_database, open_installation
from directory.wiring.minting import minting_lookup
from directory.wiring.service import Listening, serving

__all__ = ["Installation", "Listening", "migrate_database", "minting_lookup", "open_installation", "serving"]
