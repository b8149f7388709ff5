"""What are the rules of others, and what does pkilint say by them? The one module that knows pkilint.

Importing it takes more than half a second, so only who lints imports it (`ca.linting`, on first use).
"""

from collections.abc import Iterator
from typing import Any

from pkilint import loader
from pkilint.cabf import smime
from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel
from pkilint.pkix import certificate, extension, name


class Rulebook:
    """A set of rules to hold a certificate to."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def judge(self, der: bytes) -> Iterator[tuple[int, str, str]]:
        """Yield severity (0 is the worst), code and message of everything found."""
        for result in self._container.validate(loader.load_der_certificate(der).root):
            for description in result.finding_descriptions:
                finding = description.finding
                yield int(finding.severity), finding.code, description.message or ""


def for_recipients() -> Rulebook:
    """Return the CA/B S/MIME Baseline Requirements (mailbox-validated, strict) with RFC 5280.

    The S/MIME container includes every validator of the RFC 5280 one (a test holds pkilint to it), so one
    pass is enough.
    """
    return Rulebook(
        certificate.create_pkix_certificate_validator_container(
            smime.create_decoding_validators(),
            smime.create_subscriber_validators(ValidationLevel.MAILBOX, Generation.STRICT),
        )
    )


def for_others() -> Rulebook:
    """Return RFC 5280."""
    return Rulebook(
        certificate.create_pkix_certificate_validator_container(
            certificate.create_decoding_validators(
                name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
            ),
            [
                certificate.create_issuer_validator_container(),
                certificate.create_validity_validator_container(),
                certificate.create_subject_validator_container(),
                certificate.create_extensions_validator_container(),
                certificate.create_spki_validator_container(),
            ],
        )
    )
