"""What makes good what the restore of an older database has lost?"""

from ca.publication import Publication
from directory.reconciling import Reconciliation
from directory.store.reconciling import SqlReconciling
from directory.wiring.installation import Installation
from directory.wiring.issuing import issuer_revocation


def reconciliation(installation: Installation, actor: str) -> Reconciliation:
    """Return the use case."""
    return Reconciliation(
        store=SqlReconciling(
            installation.database,
            node=installation.node,
            publication=Publication(installation.settings.ca.public_url),
        ),
        revoker=installation.revocation(),
        issuer_revoker=issuer_revocation(installation, actor),
        clock=installation.clock,
        actor=actor,
    )
