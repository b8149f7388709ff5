"""What are the rules of others, and what does pkilint say by them? The one module that knows pkilint.

Importing it takes more than half a second, so only who lints imports it (`ca.linting`, on first use).
"""

from collections.abc import Iterator
from typing import Any

from pkilint import loader
from pkilint.cabf import smime
from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel
from pkilint.document import NodeVisitor
from pkilint.pkix import certificate, extension, name
from pkilint.validation import ValidatorContainer


class Rulebook:
    """A set of rules to hold a certificate to."""

    def __init__(self, container: Any) -> None:
        self._container = container
        _index(container)

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


def _index(container: Any) -> None:
    """Let a container offer each node only to the validators that can match its type: half the time per lint.

    pkilint offers every node to every validator. One that leaves the decision to `NodeVisitor.match` and
    names a type refuses all nodes of others; it is left out for those, and what is found stays the same.
    """
    by_type: dict[type, tuple[Any, ...]] = {}

    def validate(node: Any, results: list[Any]) -> None:
        kind = type(node.pdu)
        if (candidates := by_type.get(kind)) is None:
            candidates = by_type[kind] = tuple(one for one in container.validators if _may_match(one, kind))
        for validator in candidates:
            if validator.match(node):
                result = validator.validate_wrapper(node)
                results.extend(result if isinstance(result, list) else [result])
        for child in node.children.values():
            validate(child, results)

    container._validate_rec = validate  # noqa: SLF001 - pkilint has no seam of its own for this
    for validator in container.validators:
        if isinstance(validator, ValidatorContainer):
            _index(validator)


def _may_match(validator: Any, kind: type) -> bool:
    if type(validator).match is not NodeVisitor.match or validator._pdu_class is None:  # noqa: SLF001 - likewise
        return True
    return issubclass(kind, validator._pdu_class)  # noqa: SLF001 - likewise
