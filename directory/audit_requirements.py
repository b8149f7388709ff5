"""Which events does an auditor look for, and under which names are they in the log?

The list is that of the CA/B S/MIME Baseline Requirements section 5.4.1, and what follows from running a
directory besides. `docs/audit-events.md` and section 5.4.1 of the practice statement are made from it.
"""

from dataclasses import dataclass

from directory.audit import AuditKind as Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Something that has to be on record."""

    item: str
    """Its place in the list of section 5.4.1; empty for what is ours alone."""
    what: str
    kinds: tuple[Kind, ...] = ()
    instead: str = ""
    """Why there is no event, or what an event does not say."""


REQUIREMENTS = (
    Requirement(
        item="1.i",
        what="CA keys: generation, storage",
        kinds=(Kind.SERVICE_INITIALIZED, Kind.ISSUER_KEY_MADE, Kind.ISSUER_CREATED),
    ),
    Requirement(
        item="1.i",
        what="CA keys: backup, recovery, archival",
        kinds=(Kind.ISSUER_KEY_EXPORTED,),
        instead="a root's key in a file; else it is the operator's copy of database and master key",
    ),
    Requirement(item="1.i", what="CA keys: destruction", kinds=(Kind.ISSUER_KEY_DESTROYED,)),
    Requirement(
        item="1.i",
        what="other keys: master key, audit key",
        kinds=(
            Kind.MASTER_KEY_LOADED,
            Kind.MASTER_KEY_ROTATED,
            Kind.AUDIT_KEY_CREATED,
            Kind.AUDIT_KEY_ROTATED,
        ),
    ),
    Requirement(
        item="1.ii, 1.iii",
        what="CA certificates: requests, approval, rejection, revocation",
        kinds=(
            Kind.ISSUER_REQUESTED,
            Kind.ISSUER_REQUEST_WITHDRAWN,
            Kind.ISSUER_CREATED,
            Kind.ISSUER_IMPORTED,
            Kind.ISSUER_ACTIVATED,
            Kind.ISSUER_REVOKED,
        ),
    ),
    Requirement(
        item="1.ii",
        what="cross-certificates: of our CAs by others, and of others by ours",
        kinds=(
            Kind.CROSS_CERTIFICATE_ADDED,
            Kind.CROSS_CERTIFICATE_REMOVED,
            Kind.CROSS_CERTIFICATE_SIGNED,
        ),
    ),
    Requirement(item="1.iv", what="cryptographic devices", instead="none: there are none"),
    Requirement(
        item="1.v, 2.v", what="CRLs", kinds=(Kind.CRL_PARTITIONED, Kind.CRL_ISSUED, Kind.CRL_IMPORTED)
    ),
    Requirement(
        item="1.vi, 2.vi",
        what="OCSP responses",
        kinds=(Kind.OCSP_RESPONDER_CERTIFIED, Kind.OCSP_RESPONDER_KEY_DESTROYED),
        instead="responders' keys and certificates; single answers are not recorded",
    ),
    Requirement(
        item="1.vii", what="certificate profiles: introduction, retirement", kinds=(Kind.PROFILES_CHANGED,)
    ),
    Requirement(
        item="2.i, 2.iii, 2.iv",
        what="certificate requests, approval, issuance; recipients' keys: generation, storage",
        kinds=(Kind.CERTIFICATE_MINTED, Kind.CERTIFICATE_IMPORTED, Kind.PROXY_CERTIFIED),
    ),
    Requirement(
        item="2.i",
        what="recipients' keys made in advance: storage, use, destruction",
        kinds=(Kind.KEY_POOL_FILLED, Kind.KEY_POOL_USED, Kind.KEY_POOL_DISCARDED),
    ),
    Requirement(
        item="2.iii", what="certificate requests: rejection", kinds=(Kind.MINT_REFUSED, Kind.REQUEST_REFUSED)
    ),
    Requirement(
        item="2.i",
        what="renewal and re-key",
        kinds=(Kind.CERTIFICATE_MINTED, Kind.CERTIFICATE_LEADS, Kind.CERTIFICATE_REVOKED),
        instead="each renewal is a mint that names what it renews; re-key before that is a revocation as "
        "superseded, then the next mint",
    ),
    Requirement(
        item="2.i",
        what="revocation",
        kinds=(Kind.CERTIFICATE_REVOKED, Kind.KEY_BLOCKED, Kind.KEY_UNBLOCKED),
    ),
    Requirement(
        item="2.ii",
        what="verification activities",
        kinds=(Kind.CERTIFICATE_PROVEN, Kind.DELIVERY_UNPROVEN, Kind.REMINDER_QUEUED, Kind.RELAY_RECORDED),
    ),
    Requirement(
        item="",
        what="recipients' keys: delivery",
        kinds=(
            Kind.KEY_MAIL_ACCEPTED,
            Kind.KEY_MAIL_GIVEN_UP,
            Kind.KEY_MAIL_RESENT,
            Kind.KEY_MAIL_BOUNCED,
            Kind.KEY_PACKAGE_DOWNLOADED,
        ),
    ),
    Requirement(item="", what="recipients' keys: destruction", kinds=(Kind.KEY_DESTROYED,)),
    Requirement(
        item="",
        what="recipients' keys: escrow, recovery",
        kinds=(
            Kind.KEY_ESCROWED,
            Kind.RECOVERY_REQUESTED,
            Kind.RECOVERY_APPROVED,
            Kind.RECOVERY_FETCHED,
        ),
    ),
    Requirement(
        item="",
        what="passwords: handing over, destruction",
        kinds=(
            Kind.PASSWORD_REVEALED,
            Kind.PASSWORD_RELEASED,
            Kind.PASSWORD_EXPIRED,
            Kind.PASSWORD_DESTROYED,
            Kind.WEBHOOK_GIVEN_UP,
            Kind.WEBHOOK_REDELIVERED,
        ),
    ),
    Requirement(
        item="",
        what="mail, and what came back",
        kinds=(
            Kind.MAIL_TRIED,
            Kind.MAIL_ACCEPTED,
            Kind.MAIL_GIVEN_UP,
            Kind.MAIL_BOUNCED,
            Kind.MAIL_COMPLAINED,
            Kind.BOUNCE_IGNORED,
        ),
    ),
    Requirement(
        item="3.i",
        what="access: successful and unsuccessful",
        kinds=(Kind.CALLER_AUTHENTICATED, Kind.AUTHENTICATION_FAILED),
        instead="counted: successes per caller and hour, failures per peer, front end and minute",
    ),
    Requirement(
        item="3.ii",
        what="actions on the system",
        kinds=(
            Kind.MAIL_PAUSED,
            Kind.MAIL_RESUMED,
            Kind.MAIL_FLUSHED,
            Kind.BOUNCE_CLEARED,
            Kind.DOMAIN_PAUSED,
            Kind.DOMAIN_RESUMED,
            Kind.SUPPRESSION_ADDED,
            Kind.SUPPRESSION_LIFTED,
            Kind.RECIPIENT_OPTED_OUT,
        ),
    ),
    Requirement(
        item="3.iii",
        what="configuration, roles and rights",
        kinds=(
            Kind.SETTINGS_CHANGED,
            Kind.ORGANIZATION_ADDED,
            Kind.ORGANIZATION_CHANGED,
            Kind.GATEWAY_ADDED,
            Kind.GATEWAY_DISABLED,
            Kind.GATEWAY_CERTIFICATE_SET,
            Kind.GATEWAY_CERTIFICATE_REMOVED,
            Kind.AGENT_ADDED,
            Kind.AGENT_DISABLED,
            Kind.RECOVERY_CERTIFICATE_ADDED,
            Kind.RECOVERY_CERTIFICATE_ACTIVATED,
            Kind.RECOVERY_AGENT_ADDED,
            Kind.RECOVERY_AGENT_REMOVED,
        ),
    ),
    Requirement(item="3.iv", what="software: installation, update, removal", kinds=(Kind.SOFTWARE_CHANGED,)),
    Requirement(
        item="3.v",
        what="start, stop, crash",
        kinds=(Kind.SERVICE_STARTED, Kind.SERVICE_STOPPED, Kind.SERVICE_CRASHED),
    ),
    Requirement(
        item="3.v",
        what="anomalies of the clock, and what an operator said of them",
        kinds=(Kind.CLOCK_DOUBTED, Kind.CLOCK_ACCEPTED),
    ),
    Requirement(
        item="3.vi, 3.vii",
        what="firewalls, routers, entries to the facility",
        instead="none: the operator's, as are the logs of the machine",
    ),
)
