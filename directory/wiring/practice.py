"""What does this installation go by? Collected by the same functions that put the service together."""

from datetime import timedelta

from cryptography import x509

from ca.publication import Publication
from directory import __version__
from directory.cps.practice import Crossing, Delivering, Issuing, Keeping, Practice, StandingAuthority
from directory.evidence.notary import PROMISE
from directory.ocsp_responders import ResponderKey
from directory.settings import Settings
from directory.store.cross_certificates import SqlCrossCertificates
from directory.store.postgresql import PostgresqlDatabase
from directory.wiring.authorities import crl_rhythm
from directory.wiring.extracts import delivery_settings, direct_settings, http_settings, ldap_settings
from directory.wiring.following import asks_for_proofs, follow_up_rules
from directory.wiring.installation import Installation, recovery_rules
from directory.wiring.issuers import sound_issuers
from directory.wiring.minting import mint_policy, mint_rules, recipient_profile
from directory.wiring.ocsp import ocsp_rules, responder_profile
from directory.wiring.renewing import renewal_rules


async def practice_of(installation: Installation) -> Practice:
    """Return what an installation goes by.

    Raises:
        ConfigurationRefused, ProfileRefused: the service would not start like this either.
        StoreUnavailable: the database does not answer.
    """
    settings = installation.settings
    crossed = SqlCrossCertificates(installation.database, node=installation.node)
    hierarchy, now = await sound_issuers(installation), installation.clock.now()
    return Practice(
        software=__version__,
        authorities=[
            StandingAuthority(
                issuer_id=issuer.issuer_id,
                purpose=issuer.purpose,
                certificate=x509.load_der_x509_certificate(issuer.certificate),
                has_sealed_key=issuer.sealed_key is not None,
                has_token_key=issuer.token_key is not None,
                state=hierarchy.state(issuer, now),
            )
            for issuer in hierarchy.issuers
        ],
        crossing=Crossing(
            by_others=[
                x509.load_der_x509_certificate(one.certificate) for one in await crossed.cross_certificates()
            ],
            of_others=[
                (x509.load_der_x509_certificate(one.certificate), one.revoked_at)
                for one in await crossed.signed_for_others()
            ],
        ),
        organizations=await installation.organizations.all(),
        issuing=_issuing(settings),
        delivering=_delivering(settings),
        keeping=_keeping(installation),
    )


def _issuing(settings: Settings) -> Issuing:
    return Issuing(
        profile=recipient_profile(settings),
        isolated_need_own_issuer=settings.ca.isolated_issuers == "required",
        scheme=settings.ca.signature,
        publication=Publication(settings.ca.public_url),
        rules=mint_rules(settings),
        renewal=renewal_rules(settings),
        policy=mint_policy(settings),
        key_pool_size=settings.ca.key_pool_size,
        stored_keys=settings.ca.key_pool_persisted,
        stored_key_lifetime=timedelta(days=settings.ca.key_pool_days),
        successor_before=timedelta(days=settings.ca.prepare_next_days),
        crls=crl_rhythm(settings),
        crl_partitions=settings.ca.crl_partitions,
        ocsp=ocsp_rules(settings),
        responder=responder_profile(settings),
        responder_key=ResponderKey(settings.ca.ocsp_responder_key),
    )


def _delivering(settings: Settings) -> Delivering:
    return Delivering(
        delivery=delivery_settings(settings),
        direct=direct_settings(settings),
        follow_up=follow_up_rules(settings),
        recovery=recovery_rules(settings),
        asks_for_proofs=asks_for_proofs(settings),
        pages_url=settings.pages.url,
    )


def _keeping(installation: Installation) -> Keeping:
    settings = installation.settings
    http, ldap = http_settings(settings), ldap_settings(settings)
    return Keeping(
        ldap_suffix=ldap.suffix,
        anonymous_read=http.anonymous_read,
        clear_from_loopback=http.credentials_in_clear_from_loopback,
        https=settings.http.tls,
        is_postgresql=isinstance(installation.database, PostgresqlDatabase),
        master_key_has_passphrase=installation.passphrase is not None,
        audit_signed_within=PROMISE,
        audit_heads_leave=settings.audit.heads_file is not None,
    )
