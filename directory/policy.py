"""May this gateway cause a mint for this address? Rules about addresses and rights; counting is `limits`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from publicsuffixlist import PublicSuffixList

from ca.address import Mailbox
from directory.callers import Gateway
from directory.organization import Organization


class Refusal(StrEnum):
    """Why no certificate was minted; the codes are stable."""

    NOT_FOUND = "lookup.not_found"
    OWN_DOMAIN = "policy.own_domain"
    INTERNATIONAL_LOCAL_PART = "policy.international_local_part"
    RESERVED_LOCAL_PART = "policy.reserved_local_part"
    RESERVED_DOMAIN = "policy.reserved_domain"
    UNKNOWN_DOMAIN = "policy.unknown_domain"
    REVOKED = "policy.revoked"
    BOUNCED = "policy.bounced"
    SUPPRESSED = "policy.suppressed"
    DOMAIN_PAUSED = "policy.domain_paused"
    LIMIT_REACHED = "limit.reached"
    NOT_CERTIFIABLE = "mint.not_certifiable"
    NO_KEY_READY = "mint.no_key_ready"
    NO_ISSUER = "mint.no_issuer"
    TOO_SLOW = "mint.too_slow"
    CLOCK_DOUBTED = "mint.clock_doubted"
    SIGNER_UNAVAILABLE = "mint.signer_unavailable"


DOMSEC_LOCAL_PARTS = frozenset(
    {
        "domain-confidentiality-authority",
        "domain-signing-authority",
        "review-authority",
        "attribute-authority",
    }
)
"""RFC 3183 section 4.1: whoever holds such a key reads or signs for the whole domain; never minted."""

ROLE_LOCAL_PARTS = frozenset(
    {
        "abuse",
        "bounce",
        "bounces",
        "do-not-reply",
        "donotreply",
        "hostmaster",
        "listserv",
        "mailer-daemon",
        "majordomo",
        "no-reply",
        "noreply",
        "postmaster",
        "root",
        "webmaster",
    }
)
"""RFC 2142 roles and machines: nobody there can install a key. Operators may change this list."""

RESERVED_DOMAINS = frozenset(
    {"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
"""RFC 2606, RFC 6761, RFC 6762, RFC 7686, RFC 9476: names that no mail from outside can reach.
The second-level names of RFC 2606, such as example.org, are left to demonstrations and tests."""


_PUBLIC_SUFFIXES = PublicSuffixList(accept_unknown=False)
"""The list that the linter goes by as well: below any other top level no certificate would be issued, and a
misspelt one (`example.con`) reaches nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintContext:
    """What is known, as stored now, of the gateway, its organization and the address."""

    gateway: Gateway
    organization: Organization
    revoked: bool = False
    """A minted certificate of the address was revoked for a reason that forbids a successor."""
    bounced: bool = False
    """The key mail of the address bounced or was given up, and nobody has cleared that yet."""
    suppressed: bool = False
    """The address wants no mail, so it cannot be sent a key."""
    domain_paused_until: datetime | None = None
    """Too many mails of the organization to the address' domain came back; see `bounces.pausing`."""
    language: str | None = None
    """Of the mails to the recipient, as whoever asks wishes; None: the organization's."""

    def is_paused(self, now: datetime) -> bool:
        """Say whether the domain is left alone."""
        return self.domain_paused_until is not None and self.domain_paused_until > now


@dataclass(frozen=True, slots=True, kw_only=True)
class MintPolicy:
    """The operator's rules about which addresses are never minted."""

    reserved_local_parts: frozenset[str] = ROLE_LOCAL_PARTS
    reserved_domains: frozenset[str] = field(default=RESERVED_DOMAINS)
    international_local_parts: bool = False
    """Whether local parts may go beyond ASCII: their mail takes SMTPUTF8 all the way to the recipient."""

    def refusal(self, mailbox: Mailbox, context: MintContext) -> Refusal | None:
        """Return why the address must not be minted for this organization, or None."""
        local_part = mailbox.local_part.lower().partition("+")[0]
        beyond_ascii = mailbox.is_international and not self.international_local_parts
        reasons = (
            (Refusal.INTERNATIONAL_LOCAL_PART, beyond_ascii),
            (Refusal.RESERVED_LOCAL_PART, local_part in DOMSEC_LOCAL_PARTS | self.reserved_local_parts),
            (Refusal.RESERVED_DOMAIN, is_within(mailbox.domain, self.reserved_domains)),
            (Refusal.UNKNOWN_DOMAIN, _PUBLIC_SUFFIXES.publicsuffix(mailbox.domain) is None),
            (Refusal.OWN_DOMAIN, is_within(mailbox.domain, context.organization.domains)),
            (Refusal.SUPPRESSED, context.suppressed),
            (Refusal.REVOKED, context.revoked),
            (Refusal.BOUNCED, context.bounced),
        )
        return next((refusal for refusal, holds in reasons if holds), None)


def is_within(domain: str, parents: Iterable[str]) -> bool:
    """Say whether the domain is one of these, or below one."""
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)
