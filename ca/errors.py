"""What can go wrong in the certificate authority, as fields rather than prose.

    CaError
    ├── AddressRefused        the text is not one complete, acceptable address
    │   └── MailNameMalformed  what stands for an address in a certificate is not even text
    ├── ProfileRefused        a profile asks for what the rules refuse
    ├── IssuerRefused         a certificate from elsewhere cannot make a key an issuing CA
    ├── KeyRefused            a key is too weak, of an unsupported kind, or not the certificate's
    ├── PasswordRuleRefused   a password rule below the strength the key package needs
    ├── LintFailed            a prepared certificate or CRL breaks a rule; nothing was signed
    ├── SigningRefused        not linted by this issuer, signed before, or the signature is not what was asked
    ├── SignerUnavailable     the token that holds the key does not sign now; later it may
    │   ├── TokenKeyMissing   the token is there, the key is not
    │   ├── TokenDeclined     the token is there, but makes or destroys no such key
    │   └── PinRefused        the token does not take the PIN, or has locked it
    ├── CrlRequestRefused     a file does not say what a CRL is to list
    ├── KeyFileUnusable       a file does not hold the key of a CA off line, or its passphrase is wrong
    ├── OcspRequestRefused    the bytes are not an OCSP request that is answered
    ├── EscrowRefused         a certificate is not one to escrow to, or an envelope is not one to open
    ├── SharesRefused         shares do not make a secret, or none can be made of that many
    ├── KeyPoolClosed         no key will come any more
    ├── SealBroken            a sealed secret does not open: wrong record, wrong key, or tampered with
    │   └── MasterKeyUnknown  the keyring lacks the master key that wrapped the secret
    └── MasterKeyUnusable     the master key file is missing, exposed, malformed, or the passphrase is wrong

They are not frozen: the interpreter itself sets `__traceback__` and `__cause__` on them.
"""

from dataclasses import dataclass
from pathlib import Path


class CaError(Exception):
    """Base of everything this package raises on purpose."""


@dataclass(eq=False)
class AddressRefused(CaError):
    """The text is not one complete, acceptable rfc822 address; never repeats the text itself."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


class MailNameMalformed(AddressRefused):
    """A name in a certificate is of another type than it says; who finds one does not read on."""


@dataclass(eq=False)
class ProfileRefused(CaError):
    """A profile asks for what the rules refuse."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


@dataclass(eq=False)
class KeyRefused(CaError):
    """A key is too weak, of an unsupported kind, or does not belong to its certificate; `code` is stable."""

    reason: str
    code: str = "key.refused"

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class IssuerRefused(CaError):
    """A certificate from elsewhere cannot make our key an issuing CA; `code` is stable."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"


@dataclass(eq=False)
class PasswordRuleRefused(CaError):
    """A password rule yields less entropy than the key package needs."""

    bits: float
    required_bits: float

    def __str__(self) -> str:
        return (
            f"the rule yields {self.bits:.1f} bits of entropy; at least {self.required_bits:.0f} are needed"
        )


@dataclass(eq=False)
class LintFailed(CaError):
    """A prepared certificate or CRL breaks a rule; nothing was signed with the issuer's key."""

    findings: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.findings)


@dataclass(eq=False)
class SigningRefused(CaError):
    """Something else than what this issuer linted was to be signed, or was signed."""

    reason: str
    what: str = "certificate"

    def __str__(self) -> str:
        return f"the {self.what} {self.reason}"


@dataclass(eq=False)
class SignerUnavailable(CaError):
    """The token that holds a key does not sign now; nothing was signed that anybody will see."""

    token: str
    reason: str

    def __str__(self) -> str:
        return f"token {self.token!r} {self.reason}"


@dataclass(eq=False)
class TokenKeyMissing(SignerUnavailable):
    """The token is there, but holds no such private key."""


@dataclass(eq=False)
class TokenDeclined(SignerUnavailable):
    """The token has answered that it does not make or destroy a key, as when it is full; it may sign."""


@dataclass(eq=False)
class PinRefused(SignerUnavailable):
    """The token does not take the PIN, or has locked it; asking again would only use up its tries."""


@dataclass(eq=False)
class CrlRequestRefused(CaError):
    """A file does not say what a CRL is to list."""

    reason: str

    def __str__(self) -> str:
        return f"the file {self.reason}"


@dataclass(eq=False)
class KeyFileUnusable(CaError):
    """A file does not hold the key of a CA that is off line, or its passphrase is wrong."""

    reason: str

    def __str__(self) -> str:
        return f"the key file {self.reason}"


@dataclass(eq=False)
class OcspRequestRefused(CaError):
    """The bytes are not an OCSP request that is answered; never repeats them."""

    reason: str

    def __str__(self) -> str:
        return f"the OCSP request {self.reason}"


@dataclass(eq=False)
class EscrowRefused(CaError):
    """Nothing may be escrowed to a certificate, or what was escrowed does not open."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class SharesRefused(CaError):
    """Shares do not make a secret, or a secret is not split into so many; never repeats one."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class KeyPoolClosed(CaError):
    """The key pool was closed; no key will come any more."""


@dataclass(eq=False)
class SealBroken(CaError):
    """A sealed secret does not open: another record's, another master key's, or tampered with."""

    kind: str
    record_id: str

    def __str__(self) -> str:
        return f"the sealed {self.kind} of {self.record_id} does not open"


@dataclass(eq=False)
class MasterKeyUnknown(SealBroken):
    """The keyring lacks the master key that wrapped the secret."""

    master_key_id: str

    def __str__(self) -> str:
        return f"the sealed {self.kind} of {self.record_id} needs master key {self.master_key_id}"


@dataclass(eq=False)
class MasterKeyUnusable(CaError):
    """The master key file is missing, exposed to others, malformed, or the passphrase is wrong."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"master key {self.path}: {self.reason}"
