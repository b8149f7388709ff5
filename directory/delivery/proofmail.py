"""What does the mail say that only the recipient's key opens? You can read this, so your key works: confirm.

Encrypted to the certificate that the directory serves. Its link is nowhere else, so whoever comes with it has
decrypted. Nothing in it is from whoever asked for the certificate.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from directory.delivery.composing import Composed
from directory.delivery.enveloping import enveloped_for
from directory.delivery.headerprotection import payload_of
from directory.delivery.keymail import OPT_OUT_LIFETIME
from directory.delivery.letters import letter
from directory.delivery.mime import Message
from directory.delivery.outbox import DueMail
from directory.delivery.stationery import LAST_RESORT, Stationery
from directory.links import LinkPurpose, issue_link
from directory.pages import Pages

MESSAGE = "proof"
PROOF_LIFETIME = timedelta(days=90)
"""Longer than anybody is waited for: who sets up his key late proves it all the same."""

# What everybody on the way may read: that there is something encrypted, which they see anyway.
_OUTER_SUBJECTS = {
    "de": "Eine verschlüsselte Nachricht von {}",
    "en": "An encrypted message from {}",
    "es": "Un mensaje cifrado de {}",
    "fr": "Un message chiffré de {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofMailComposer:
    """Writes the mails that ask recipients to show that they can decrypt."""

    stationery: Stationery
    pages: Pages

    def compose(self, mail: DueMail, *, now: datetime) -> Composed:
        """Return the message, encrypted with its subject, and the links in it.

        Raises:
            EnvelopeRefused: nothing can be encrypted to the recipient's certificate.
        """
        envelop = enveloped_for(x509.load_der_x509_certificate(mail.certificate))
        proof_token, proof_link = issue_link(LinkPurpose.PROOF, now + PROOF_LIFETIME)
        stop_token, stop_link = issue_link(LinkPurpose.STOP, now + OPT_OUT_LIFETIME)
        stop_url = self.pages.stop(stop_token)
        variables = {
            "address": str(mail.mailbox),
            "prove_url": self.pages.proof(proof_token),
            "stop_url": stop_url,
        }
        inner = letter(self.stationery, mail, MESSAGE, variables=variables, now=now)
        inner = replace(inner, unsubscribe=stop_url)
        outer = replace(inner, subject=_outer_subject(inner))
        payload = payload_of(inner.to_bytes(), outer.to_bytes())
        return Composed(message=outer.to_bytes(lambda _: envelop(payload)), links=(proof_link, stop_link))


def _outer_subject(message: Message) -> str:
    language = message.language.partition("-")[0]
    return _OUTER_SUBJECTS.get(language, _OUTER_SUBJECTS[LAST_RESORT]).format(message.sender_name)
