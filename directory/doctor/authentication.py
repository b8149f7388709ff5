"""Will the organization's mail pass for its own? SPF, DKIM and DMARC as the DNS has them now.

A mail passes DMARC if DKIM or SPF vouches for a domain that fits that of From (RFC 9989 section 4.4). Which
machine a smart host sends from cannot be seen from here, so SPF alone is never more than a warning.
checkdmarc reads the records, walks the tree for DMARC, and knows their rules.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.resolver
from checkdmarc.dmarc import check_dmarc
from checkdmarc.spf import check_spf

from directory.delivery.dkim_keys import record_name, record_of, zone_line
from directory.delivery.exchanges.resolving import Resolver, ResolvingFailed
from directory.delivery.text import one_line
from directory.doctor.findings import Finding, Verdict

_LONGEST_SHOWN = 300
_TAG = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*([^;]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """The organization's DKIM key."""

    selector: str
    pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcPolicy:
    """What receivers are asked to do with mail that is not the domain's own."""

    location: str
    """The domain whose record applies, this one or one above it."""
    policy: str
    strict_spf: bool


async def check_dkim(resolver: Resolver, domain: str, key: SigningKey | None) -> Finding:
    """Compare the record with the key."""
    if key is None:
        says = (
            "mail is not signed here: it passes DMARC only if the smart host signs it, or through SPF. "
            "`pushpki org dkim` makes a key"
        )
        return Finding(check="dkim", verdict=Verdict.WARNING, says=says)
    name, wanted = record_name(key.selector, domain), record_of(key.pem)
    try:
        texts = (await resolver.texts(name)).records
        verdict, says = _judged(texts, wanted, name)
    except ResolvingFailed as error:
        verdict, says = Verdict.BAD, str(error)
    publish = zone_line(name, wanted) if verdict is Verdict.BAD else None
    return Finding(check="dkim", verdict=verdict, says=says, publish=publish)


def _judged(texts: Sequence[str], wanted: str, name: str) -> tuple[Verdict, str]:
    if len(texts) != 1:
        reason = "no key" if not texts else f"{len(texts)} records, and which one counts is undefined,"
        return Verdict.BAD, f"there is {reason} at {name}: signatures cannot be verified"
    found, ours = _tags(texts[0]), _tags(wanted)
    if not found.get("p"):
        return Verdict.BAD, f"the key at {name} is revoked (p= is empty)"
    if _octets(found["p"]) != _octets(ours["p"]) or found.get("k", "rsa") != ours["k"]:
        return Verdict.BAD, f"the key at {name} is another one than mail is signed with"
    if "y" in found.get("t", "").split(":"):
        return Verdict.WARNING, f"the key at {name} says that it is a test (t=y), and counts for nothing"
    if ours["k"] == "ed25519":
        return Verdict.WARNING, "many receivers do not know Ed25519 yet: for them mail is not signed"
    return Verdict.GOOD, f"mail is signed, and {name} has the key"


def check_sender_policy(asking: dns.resolver.Resolver, domain: str) -> Finding:
    """Look at the SPF record of the domain that bounces return to. Blocks."""
    found = check_spf(domain, resolver=asking, retries=0)
    record = found.get("record")
    if record is None:
        return Finding(
            check="spf",
            verdict=Verdict.WARNING,
            says=f"{domain} does not say which machines send its mail: {_words(found)}",
            publish=zone_line(domain, "v=spf1 a:THE-HOST-THAT-SENDS ~all"),
        )
    if not found.get("valid", False):
        says = f"the SPF record of {domain} is broken: {_words(found)}"
        return Finding(check="spf", verdict=Verdict.BAD, says=says)
    if re.search(r"(?:^|\s)\+?all\b", str(record)):
        says = f"the SPF record of {domain} lets everybody send: {_shown(record)}"
        return Finding(check="spf", verdict=Verdict.WARNING, says=says)
    says = f"{domain} has {_shown(record)}; see that it names the machine your mail leaves from"
    return Finding(check="spf", verdict=Verdict.GOOD, says=says)


def read_dmarc(asking: dns.resolver.Resolver, domain: str) -> tuple[DmarcPolicy | None, Finding]:
    """Find the DMARC record that applies to a domain (RFC 9989 section 4.10). Blocks."""
    found: Mapping[str, Any] = check_dmarc(domain, resolver=asking, retries=0, ignore_unrelated_records=True)
    record = found.get("record")
    if record is None:
        return None, Finding(
            check="dmarc",
            verdict=Verdict.WARNING,
            says=f"anybody may write in the name of {domain}: {_words(found)}",
            publish=zone_line(f"_dmarc.{domain}", f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"),
        )
    # Of a record that checkdmarc finds fault with, such as its report address, the policy may still apply.
    tags = _tags(str(record))
    location = str(found["location"])
    policy = DmarcPolicy(
        location=location,
        policy=tags.get("p", "none") if location == domain else tags.get("sp", tags.get("p", "none")),
        strict_spf=tags.get("aspf", "r") == "s",
    )
    if not found.get("valid", False):
        says = f"the DMARC record at {location} is broken: {_words(found)}"
        return policy, Finding(check="dmarc", verdict=Verdict.WARNING, says=says)
    says = f"the record at {location} asks for p={policy.policy}"
    return policy, Finding(check="dmarc", verdict=Verdict.GOOD, says=says)


def check_alignment(
    *, domain: str, return_domain: str, dkim: Finding, spf: Finding, policy: DmarcPolicy | None
) -> Finding:
    """Say whether mail will pass DMARC: signed as the domain of From, or SPF for one that fits it."""
    if dkim.verdict is Verdict.GOOD:
        says = f"mail passes DMARC: it is signed as {domain}, the domain of From"
        return Finding(check="alignment", verdict=Verdict.GOOD, says=says)
    aligned = _aligned(return_domain, domain, policy)
    if spf.verdict is Verdict.GOOD and aligned:
        says = f"mail passes DMARC only where SPF for {return_domain} holds: not once it is forwarded"
        return Finding(check="alignment", verdict=Verdict.WARNING, says=says)
    why = "no signature that counts, and " + (
        f"no SPF for {return_domain} that does"
        if aligned
        else f"bounces return to {return_domain}, which does not fit {domain}"
    )
    if policy is None:
        says = f"mail would fail DMARC ({why}), but {domain} does not ask for it yet"
        return Finding(check="alignment", verdict=Verdict.WARNING, says=says)
    return Finding(check="alignment", verdict=Verdict.BAD, says=f"mail fails DMARC: {why}")


def _aligned(return_domain: str, domain: str, policy: DmarcPolicy | None) -> bool:
    """Whether SPF for one domain counts for another: the same, or both below the one with the record."""
    if return_domain == domain:
        return True
    if policy is None or policy.strict_spf:
        return False
    below = f".{policy.location}"
    return f".{return_domain}".endswith(below) and f".{domain}".endswith(below)


def _tags(record: str) -> dict[str, str]:
    return {match[1].lower(): match[2].strip() for match in map(_TAG.match, record.split(";")) if match}


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return b""


def _words(found: Mapping[str, Any]) -> str:
    return _shown(found.get("error") or "there is no record")


def _shown(text: object) -> str:
    return one_line(str(text), longest=_LONGEST_SHOWN)
