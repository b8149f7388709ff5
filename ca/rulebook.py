"""What are the rules of others, and what does pkilint say by them? The one module that knows pkilint.

Importing it takes more than half a second, so only who lints imports it (`ca.linting`, on first use).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from pkilint import document, loader, pkix, validation
from pkilint.cabf import cabf_crl, smime
from pkilint.cabf.smime.smime_constants import Generation, ValidationLevel
from pkilint.document import NodeVisitor
from pkilint.pkix import certificate, crl, extension, name
from pkilint.pkix.certificate import certificate_extension


class Rulebook:
    """A set of rules to hold a certificate, or a CRL, to."""

    def __init__(self, container: Any, load: Callable[[bytes], Any] = loader.load_der_certificate) -> None:
        self._container = container
        self._load = load
        _index(container)

    def judge(self, der: bytes) -> Iterator[tuple[int, str, str]]:
        """Yield severity (0 is the worst), code and message of everything found."""
        for result in self._container.validate(self._load(der).root):
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


def for_crls(*, authorities_only: bool = False) -> Rulebook:
    """Return RFC 5280, and how long the CA/B S/MIME Baseline Requirements let a CRL live.

    Not the CA/B list of reasons: which may be given is decided when a certificate is revoked, and a CRL that
    left one out for its reason would be worse.
    """
    kinds = crl.CertificateRevocationListType
    longest = cabf_crl.create_validity_period_validator(kinds.ARL if authorities_only else kinds.CRL)
    return Rulebook(
        crl.create_pkix_crl_validator_container(
            [
                pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
                pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
            ],
            [
                crl.create_issuer_validator_container([]),
                crl.create_validity_validator_container([longest]),
                crl.create_extensions_validator_container([]),
            ],
        ),
        loader.load_der_crl,
    )


_REMEMBERED = 128
"""Decoded values of each kind: those that recur, and the last few of those that do not."""

# They ask `NodeVisitor.match` first, and then refuse more nodes.
_NARROWING = frozenset(
    validator.match
    for validator in (
        certificate_extension.ExtendedKeyUsageCriticalityValidator,
        extension.ExtensionCriticalityValidator,
        validation.TypeMatchingValidator,
    )
)


def _index(container: Any) -> None:
    """Let a container offer each node only to the validators that can match it: a third of the time per lint.

    pkilint offers every node to every validator. One that names a type or a path, and leaves the decision to
    `NodeVisitor.match`, refuses all other nodes; it is left out for those, and what is found stays the same.
    """
    places = {one._path for one in container.validators if one._path is not None}  # noqa: SLF001 - pkilint has no seam of its own for this
    elsewhere: dict[type, tuple[Any, ...]] = {}
    by_place: dict[str, dict[type, tuple[Any, ...]]] = {place: {} for place in places}

    def validate(node: Any, results: list[Any]) -> None:
        candidates, kind = by_place.get(node.path, elsewhere), type(node.pdu)
        if (chosen := candidates.get(kind)) is None:
            place = node.path if node.path in places else None
            chosen = tuple(one for one in container.validators if _may_match(one, kind, place))
            candidates[kind] = chosen
        for validator in chosen:
            if validator.match(node):
                result = validator.validate_wrapper(node)
                if isinstance(result, list):
                    results += result
                else:
                    results.append(result)
        for child in node.children.values():
            validate(child, results)

    container._validate_rec = validate  # noqa: SLF001 - likewise
    for validator in container.validators:
        if isinstance(validator, validation.ValidatorContainer):
            _index(validator)
        elif isinstance(validator, validation.DecodingValidator):
            _remember(validator.decode_func)


def _may_match(validator: Any, kind: type, place: str | None) -> bool:
    match = type(validator).match
    if match is not NodeVisitor.match and match not in _NARROWING:
        return True
    named_path, named_type = validator._path, validator._pdu_class  # noqa: SLF001 - likewise
    return named_path in {None, place} and (named_type is None or issubclass(kind, named_type))


def _remember(decoder: Any) -> None:
    """Let a decoder decode the same octets once: a seventh of the time per lint.

    All certificates of an issuer have most of their values in common. What is decoded is only read, and hangs
    in a node of each document's own. A decoder that has a way of its own keeps it.
    """
    if getattr(type(decoder), "decode_value", None) is not document.ValueDecoder.decode_value:
        return
    decode = decoder.decode_value
    remembered: OrderedDict[tuple[bytes, int], Any] = OrderedDict()

    def decode_value(node: Any, type_node: Any, value_node: Any, schema: Any) -> None:
        if value_node.children:
            return  # decoded by another of the same place, as pkilint does
        # Schemas are the decoder's own, and live as long as it does.
        key = bytes(decoder.retrieve_substrate(value_node)), id(schema)
        if key in remembered:
            document.create_and_append_node_from_pdu(value_node.document, remembered[key], value_node)
        else:
            decode(node, type_node, value_node, schema)
            remembered[key] = value_node.child[1].pdu
            if len(remembered) > _REMEMBERED:
                remembered.popitem(last=False)
        remembered.move_to_end(key)

    decoder.decode_value = decode_value
