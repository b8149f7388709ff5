"""How does only the holder of one key read a mail? S/MIME: a MIME entity becomes one that is encrypted to it.

Knows neither what the mail says nor who sends it; signs nothing, for the outer mail is signed by DKIM.
"""

import base64
import re
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from directory.errors import EnvelopeRefused

FILE_NAME = "smime.p7m"
"""RFC 8551 section 3.2.1."""

_CRLF = b"\r\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_SHORTEST_KEY = 2048

# RFC 8551 section 3.2; the parameter tells a reader what is inside before it decodes anything.
_HEADERS = (
    b'Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n name="%s"',
    b'Content-Disposition: attachment; filename="%s"',
)


def enveloped_for(certificate: x509.Certificate) -> Callable[[bytes], bytes]:
    """Return what encrypts a MIME entity to the certificate's key, and to nobody else's.

    It takes the entity's content headers and body, and returns another entity: `enveloped-data` with
    AES-256-CBC and RSA key transport (RFC 8551 section 3.3), all lines ended by CRLF. Not AES-GCM: what
    recipients import their keys into does not read it everywhere yet.

    Raises:
        EnvelopeRefused: the key is not RSA of 2048 bits or more, or must not be used to encrypt keys.
    """
    _refuse_unusable(certificate)

    def envelop(entity: bytes) -> bytes:
        # RFC 8551 section 3.1.1: canonical before it is encrypted, or readers disagree about the lines.
        canonical = _LINE_END.sub(_CRLF, entity)
        builder = PKCS7EnvelopeBuilder().set_data(canonical).add_recipient(certificate)
        builder = builder.set_content_encryption_algorithm(AES256)
        # DER, encoded here: the SMIME form of `cryptography` has lines that end with LF. Binary, as the line
        # ends are canonical already.
        return _entity(builder.encrypt(Encoding.DER, [PKCS7Options.Binary]))

    return envelop


def _refuse_unusable(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise EnvelopeRefused(code="envelope.not_rsa", reason="only RSA keys can be encrypted to")
    if key.key_size < _SHORTEST_KEY:
        raise EnvelopeRefused(
            code="envelope.short_key", reason=f"its key has {key.key_size} bits, {_SHORTEST_KEY} are needed"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        # RFC 5280 section 4.2.1.3: without the extension the key may be used for anything.
        return
    except (x509.DuplicateExtension, ValueError) as error:
        raise EnvelopeRefused(code="envelope.unreadable", reason="its extensions are not readable") from error
    if not usage.key_encipherment:
        raise EnvelopeRefused(code="envelope.key_usage", reason="its key must not be used to encrypt keys")


def _entity(enveloped: bytes) -> bytes:
    name = FILE_NAME.encode("ascii")
    return _CRLF.join(
        (
            *(header % name for header in _HEADERS),
            b"Content-Transfer-Encoding: base64",
            b"",
            base64.encodebytes(enveloped).rstrip(b"\n").replace(b"\n", _CRLF),
        )
    )
