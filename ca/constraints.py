"""For which mail addresses may a CA certify? Name constraints on rfc822Name (RFC 5280 section 4.2.1.10).

A constraint is a mailbox (`anna@example.org`), a host (`example.org`: every mailbox there, none below) or a
domain (`.example.org`: every mailbox at hosts below it). The last two hold for SmtpUTF8Mailboxes as well; the
first cannot name one (RFC 9598 section 6).
"""

from collections.abc import Iterable

from cryptography import x509

from ca.address import Mailbox


def permitted_domains(domains: Iterable[str]) -> x509.NameConstraints:
    """Permit mail addresses at these hosts or, where one begins with a dot, below it; and no others."""
    return x509.NameConstraints(
        permitted_subtrees=[x509.RFC822Name(domain) for domain in sorted(domains)], excluded_subtrees=None
    )


def permits(certificate: x509.Certificate, mailbox: Mailbox) -> bool:
    """Whether a CA's certificate lets the mailbox be certified below it."""
    constraints = name_constraints_of(certificate)
    if constraints is None:
        return True
    permitted = mail_names(constraints.permitted_subtrees)
    excluded = mail_names(constraints.excluded_subtrees)
    if any(_holds(name, mailbox) for name in excluded):
        return False
    return not permitted or any(_holds(name, mailbox) for name in permitted)


def name_constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    """Return the name constraints of a CA, if it has any."""
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def specimen(certificate: x509.Certificate) -> Mailbox:
    """Return a mailbox that a CA may certify, to try it with."""
    constraints = name_constraints_of(certificate)
    permitted = mail_names(constraints.permitted_subtrees) if constraints else []
    local_part, at, host = min(permitted, default="example.com").rpartition("@")
    if at:
        return Mailbox(local_part=local_part, domain=host.lower())
    return Mailbox.parse(f"rehearsal@{'mail' if host.startswith('.') else ''}{host}")


def mail_names(subtrees: list[x509.GeneralName] | None) -> list[str]:
    """Return the constraints on mail addresses among others."""
    return [one.value for one in subtrees or () if isinstance(one, x509.RFC822Name)]


def _holds(constraint: str, mailbox: Mailbox) -> bool:
    local_part, at, host = constraint.rpartition("@")
    host = host.lower()
    if at:
        return (local_part, host) == (mailbox.local_part, mailbox.domain)
    if host.startswith("."):
        return mailbox.domain.endswith(host)
    return mailbox.domain == host
