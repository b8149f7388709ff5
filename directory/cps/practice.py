"""What does the authority go by? The very values that the code uses, in one place for whoever states them.

Nothing in here is a copy: a rule that changes, by configuration or by code, changes here as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509

from ca.profiles import Profile, Purpose
from ca.publication import Publication
from ca.signing import SignatureScheme
from directory.access import AnonymousRead
from directory.crls import CrlRhythm
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.settings import DeliverySettings
from directory.enrolment import MintRules
from directory.followup import FollowUpRules
from directory.hierarchy import IssuerState
from directory.ocsp import OcspRules
from directory.ocsp_responders import ResponderKey
from directory.organization import Organization
from directory.policy import MintPolicy
from directory.recovery import RecoveryRules
from directory.renewal import RenewalRules


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingAuthority:
    """An issuer of ours."""

    issuer_id: str
    purpose: Purpose
    certificate: x509.Certificate
    has_sealed_key: bool
    """Whether its key is in the database, sealed."""
    has_token_key: bool = False
    """Whether its key is in a PKCS#11 token."""
    state: IssuerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Who vouches for our CAs beside their own, and for whose CAs ours vouch."""

    by_others: Sequence[x509.Certificate] = ()
    of_others: Sequence[tuple[x509.Certificate, datetime | None]] = ()
    """With the moment at which one was revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuing:
    """How certificates and their status are made."""

    profile: Profile
    """Of recipients."""
    isolated_need_own_issuer: bool
    """Whether nobody certifies for an isolated organization before it has an issuing CA of its own."""
    scheme: SignatureScheme
    publication: Publication
    rules: MintRules
    renewal: RenewalRules
    policy: MintPolicy
    key_pool_size: int
    stored_keys: int
    """How many keys are kept sealed in the database, besides."""
    stored_key_lifetime: timedelta
    successor_before: timedelta
    """How long before an issuing CA cannot certify any more the next one is made; zero: an operator does."""
    crls: CrlRhythm
    crl_partitions: int
    """Among so many CRLs each issuing CA spreads what it issues; 0: there are complete ones only."""
    ocsp: OcspRules
    responder: Profile
    responder_key: ResponderKey
    """Where the next responders' keys are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """How keys reach recipients, and how long they are held."""

    delivery: DeliverySettings
    direct: DirectSettings
    follow_up: FollowUpRules
    recovery: RecoveryRules
    asks_for_proofs: bool
    pages_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Who may ask, and where everything is."""

    ldap_suffix: str
    anonymous_read: AnonymousRead
    clear_from_loopback: bool
    https: bool
    is_postgresql: bool
    master_key_has_passphrase: bool
    audit_signed_within: timedelta
    audit_heads_leave: bool
    """Whether signed heads of the audit log are appended to a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """All that the statement is made from."""

    software: str
    """The version."""
    authorities: Sequence[StandingAuthority]
    crossing: Crossing = field(default_factory=Crossing)
    organizations: Sequence[Organization]
    issuing: Issuing
    delivering: Delivering
    keeping: Keeping
