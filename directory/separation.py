"""May a password go there, given whom its key package went to? Never on the recipient's own channel.

Whoever reads the recipient's mail has the key package; were he to read the password as well, the password
would protect nothing (CA/B S/MIME BR section 6.1.2: delivered separately). So a password goes to no mailbox
and no machine in the recipient's domain, below it or above it.
"""

from ca.address import Mailbox


def shares_channel(recipient: Mailbox, domain: str) -> bool:
    """Whether whoever is in charge of the recipient's mail may be in charge of this domain as well.

    Holds for the recipient's domain, every domain below it, and every one above it: who has `example.org` can
    read the mail of `clinic.example.org`.
    """
    theirs, ours = _labels(recipient.domain), _labels(domain)
    shorter = min(len(theirs), len(ours))
    # A top-level domain, or a name of one label, is nobody's: it is not taken for a parent.
    if shorter == 1 and len(theirs) != len(ours):
        return False
    return theirs[-shorter:] == ours[-shorter:]


def _labels(domain: str) -> list[str]:
    return domain.lower().rstrip(".").split(".")
