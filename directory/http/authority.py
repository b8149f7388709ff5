"""Where do the world's mail clients find the authority's own certificates? Public, for everybody.

The names are the ones that certificates carry in their authority information access extension.
"""

import hashlib
import re
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from fastapi import APIRouter
from starlette.responses import Response

from directory.errors import Unknown
from directory.http.certificates import CERTIFICATE_TYPE
from directory.http.openapi import Responses, problems
from directory.http.problem_kinds import HttpProblem
from directory.http.services import HttpServices

PEM_TYPE = "application/pem-certificate-chain"
"""RFC 8555 section 9.1."""

CERTS_ONLY_TYPE = "application/pkcs7-mime"
"""RFC 5280 section 4.2.2.1, RFC 5273 section 3."""

_ISSUER_ID = re.compile(r"[0-9a-f]{1,64}")


def authority_router(services: HttpServices) -> APIRouter:
    """Return the routes of the authority's own certificates."""
    router = APIRouter(prefix="/ca", tags=["authority"])

    async def fetch_chain() -> Response:
        """Fetch every issuing and root certificate, PEM: issuing first, roots last."""
        chain = _roots_last(await services.issuers.issuer_certificates())
        if not chain:
            raise Unknown(kind="issuer", name="")
        return _response(b"".join(_pem(der) for der in chain), PEM_TYPE, "chain.pem")

    async def fetch_issuer(issuer_id: str) -> Response:
        """Fetch an issuer's certificate, DER (RFC 5280 section 4.2.2.1)."""
        return _response(await _issuer(services, issuer_id), CERTIFICATE_TYPE, "issuer.cer")

    async def fetch_issuer_pem(issuer_id: str) -> Response:
        """Fetch an issuer's certificate, PEM."""
        return _response(_pem(await _issuer(services, issuer_id)), PEM_TYPE, "issuer.pem")

    async def fetch_issuer_all(issuer_id: str) -> Response:
        """Fetch all certificates of an issuer, cross-certificates too, CMS (RFC 5280 section 4.2.2.1)."""
        own = await _issuer(services, issuer_id)
        by_others = (await services.issuers.cross_certificates()).get(issuer_id, ())
        certificates = [x509.load_der_x509_certificate(der) for der in (own, *by_others)]
        return _response(serialize_certificates(certificates, Encoding.DER), CERTS_ONLY_TYPE, "issuer.p7c")

    # The chain first: its name would do for an issuer's as well.
    for path, endpoint, media_type in (
        ("/chain.pem", fetch_chain, PEM_TYPE),
        ("/{issuer_id}.cer", fetch_issuer, CERTIFICATE_TYPE),
        ("/{issuer_id}.pem", fetch_issuer_pem, PEM_TYPE),
        ("/{issuer_id}.p7c", fetch_issuer_all, CERTS_ONLY_TYPE),
    ):
        router.add_api_route(
            path, endpoint, methods=["GET"], response_class=Response, responses=_responses(media_type)
        )
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    return router


async def _issuer(services: HttpServices, issuer_id: str) -> bytes:
    if _ISSUER_ID.fullmatch(issuer_id) is None:
        raise Unknown(kind="issuer", name="")
    der = (await services.issuers.issuer_certificates()).get(issuer_id)
    if der is None:
        raise Unknown(kind="issuer", name=issuer_id)
    return der


def _roots_last(issuers: Mapping[str, bytes]) -> list[bytes]:
    return [der for _, der in sorted(issuers.items(), key=lambda item: (_is_root(item[1]), item[0]))]


def _is_root(der: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject == certificate.issuer


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _response(body: bytes, media_type: str, file_name: str) -> Response:
    return Response(
        content=body,
        media_type=media_type,
        headers={
            "Cache-Control": "public, max-age=3600",
            "Content-Disposition": f'attachment; filename="{file_name}"',
            "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
        },
    )


def _responses(media_type: str) -> Responses:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {"description": "The certificate.", "content": {media_type: binary}},
        **problems(HttpProblem.RECORD_UNKNOWN),
    }
