"""A practice in which every part of the statement has something to say."""

from dataclasses import replace
from datetime import timedelta
from functools import cache

from ca.address import Mailbox
from ca.hierarchy import AuthorityName
from ca.keypackage import KeyPackageFormat
from ca.keys import KeyAlgorithm
from ca.linting import Linter
from ca.profiles import Purpose
from ca.sealing import SealedSecret
from ca.signing import SignatureScheme
from directory.access import AnonymousRead
from directory.cps.practice import Delivering, Issuing, Keeping, Practice, StandingAuthority
from directory.crls import CrlRhythm
from directory.delivery.exchanges.settings import DirectSettings
from directory.delivery.settings import DeliverySettings
from directory.enrolment import MintRules
from directory.followup import FollowUpRules
from directory.hierarchy import IssuerState
from directory.limits import MintRates, Rate
from directory.ocsp import OcspRules
from directory.ocsp_responders import ResponderKey
from directory.organization import Dkim, EndOfHold, HoldPolicy, Organization, PasswordMail, Webhook
from directory.policy import MintPolicy
from directory.recovery import RecoveryRules
from directory.renewal import RenewalRules
from tests.builders import NOW, PUBLICATION, a_profile, create_root
from tests.directory.builders import an_organization

_SEALED = SealedSecret(master_key_id="key-1", wrapped_key=b"w", ciphertext=b"c")


def a_busy_organization() -> Organization:
    """An organization that has said something about everything."""
    plain = an_organization()
    mailbox = Mailbox.parse("desk@hospital.org")
    return replace(
        plain,
        hold_policy=HoldPolicy(end=EndOfHold.ESCROW, escrows_signing_keys=True),
        correspondence=replace(
            plain.correspondence,
            package_formats={"example.org": KeyPackageFormat.MODERN},
            dkim=Dkim(selector="s1", sealed_key=_SEALED),
            webhook=Webhook(url="https://hooks.hospital.org", sealed_secret=_SEALED),
            password_mail=PasswordMail(mailbox=mailbox, certificate=b""),
            notices_to=mailbox,
        ),
    )


def a_practice() -> Practice:
    day = Rate(burst=100, period=timedelta(days=1))
    return Practice(
        software="1.0",
        authorities=[_root()],
        organizations=[a_busy_organization()],
        issuing=Issuing(
            profile=a_profile(),
            isolated_need_own_issuer=False,
            scheme=SignatureScheme.PKCS1,
            publication=PUBLICATION,
            rules=MintRules(
                rates=MintRates(
                    gateway_hour=day,
                    gateway_day=day,
                    organization_day=day,
                    recipient_day=day,
                    domain_day=day,
                ),
                patience=timedelta(seconds=2),
                delivery_lifetime=timedelta(days=5),
                retry_after=timedelta(seconds=5),
            ),
            renewal=RenewalRules.of(
                before=timedelta(days=30),
                lead_before=timedelta(days=3),
                validity=timedelta(days=730),
                per_hour=600,
            ),
            policy=MintPolicy(),
            key_pool_size=64,
            stored_keys=1000,
            stored_key_lifetime=timedelta(days=30),
            successor_before=timedelta(days=60),
            crls=CrlRhythm(),
            crl_partitions=0,
            ocsp=OcspRules(),
            responder=a_profile(Purpose.OCSP_RESPONDER),
            responder_key=ResponderKey.SOFTWARE,
        ),
        delivering=Delivering(
            delivery=DeliverySettings(hold=timedelta(days=7)),
            direct=DirectSettings(),
            follow_up=FollowUpRules(),
            recovery=RecoveryRules(),
            asks_for_proofs=True,
            pages_url="https://keys.hospital.org",
        ),
        keeping=Keeping(
            ldap_suffix="o=directory",
            anonymous_read=AnonymousRead.LOOPBACK,
            clear_from_loopback=True,
            https=False,
            is_postgresql=False,
            master_key_has_passphrase=False,
            audit_signed_within=timedelta(seconds=60),
            audit_heads_leave=False,
        ),
    )


@cache
def _root() -> StandingAuthority:
    name = AuthorityName(organization="Example", common_name="Example Root 2026")
    profile = a_profile(Purpose.ROOT_CA, key_algorithm=KeyAlgorithm.P_256)
    certificate, _ = create_root(profile, name, NOW, Linter())
    return StandingAuthority(
        issuer_id="ab" * 20,
        purpose=Purpose.ROOT_CA,
        certificate=certificate,
        has_sealed_key=True,
        state=IssuerState.ACTIVE,
    )
