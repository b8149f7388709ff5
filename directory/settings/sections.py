"""Which settings are there, what may they be, and what are they when nobody says? The whole configuration.

The texts below each key are its documentation: `docs/configuration.md` is generated from them.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ca.keys import KeyAlgorithm
from ca.signing import SignatureScheme
from directory.access import AnonymousRead, MetricsAccess
from directory.policy import RESERVED_DOMAINS, ROLE_LOCAL_PARTS

ENVIRONMENT_PREFIX = "PUSHPKI_"


class ListenAddress(BaseModel):
    """A host and a port to listen on."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ip_address(self.host).is_loopback


def _listen_address(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]]+)):(\d{1,5})", value)
    if match is None:
        raise ValueError("give host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host, port = match[1] or match[2], int(match[3])
    if host != "localhost":
        ip_address(host)
    if port > 65535:  # noqa: PLR2004 - the largest TCP port
        raise ValueError("a port is at most 65535")
    return ListenAddress(host=host, port=port)


Listen = Annotated[ListenAddress, BeforeValidator(_listen_address)]


def _items(value: object) -> object:
    """Take a list from the environment apart."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _names(value: object) -> object:
    items = _items(value)
    if not isinstance(items, list):
        return items
    return [item.lower() if isinstance(item, str) else item for item in items]


Names = Annotated[frozenset[str], BeforeValidator(_names)]


Networks = Annotated[frozenset[IPv4Network | IPv6Network], BeforeValidator(_items)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )


class ServiceSettings(_Section):
    """What this process is called, and what it says."""

    node: str = Field(default="node-1", pattern=r"^[A-Za-z0-9._-]{1,60}$")
    """Names the node's chain in the audit log, and its claims on mails; different for every node of one
    database. Workers add their number: `node-1/1`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged. No level logs addresses, tokens or passwords."""


class DatabaseSettings(_Section):
    """Where everything durable is."""

    url: str = "sqlite:///pushpki.sqlite3"
    """`sqlite:///PATH`, or `postgresql://USER@HOST:PORT/NAME` with `?sslmode=verify-full` where needed."""
    password_file: Path | None = None
    """File, mode 0600, with the password of the PostgreSQL user. The URL never holds it."""


class MasterKeySettings(_Section):
    """What all secrets at rest are sealed under."""

    file: Path = Path("master.key")
    """The master key file, readable by its owner alone; may be a systemd credential."""
    passphrase_file: Path | None = None
    """File with the passphrase, where the master key has one."""


class CaSettings(_Section):
    """What is certified."""

    public_url: str = Field(default="http://pki.example.com", pattern=r"^http://[^\s?#]+[^\s?#/]$")
    """Where certificates say that CRLs and issuer certificates are fetched: http, as RFC 5280 section 8 asks.
    The default is a placeholder."""
    profile: Literal["encryption", "dual"] = "encryption"
    """`encryption`: the key only decrypts. `dual`: it also signs, though the service has held it."""
    key_algorithm: KeyAlgorithm = KeyAlgorithm.RSA_3072
    """Of recipients: `rsa-2048`, `rsa-3072`, `rsa-4096`, or `p-256`, which several gateways cannot use."""
    validity_days: int = Field(default=730, ge=1, le=825)
    """Of recipients' certificates; at most 825 (CA/B S/MIME BR 6.3.2)."""
    policy_oid: str = "1.3.6.1.4.1.32473.1.1"
    """The certificate policy that is asserted; private, never one of CA/B. The default is the documentation
    arc of RFC 5612: replace it by one of your own."""
    international_local_parts: bool = False
    """Whether addresses are certified whose local part is not ASCII, such as `jörg@example.org`. Their mail
    takes SMTPUTF8 (RFC 6531): where a server on the way does not offer it, it comes back at once. The
    certificate names them in an SmtpUTF8Mailbox (RFC 9598), which many mail programs cannot read."""
    key_pool_size: int = Field(default=64, ge=0, le=100_000)
    """Up to how many key pairs of each algorithm in use are kept ready, in memory."""
    key_pool_low: int | None = Field(default=None, ge=0)
    """How many of them are left when it begins to fill up again; until then the cores are the lookups' alone.
    Without: half of `key_pool_size`."""
    key_pool_threads: int = Field(default=0, ge=0, le=256)
    """Threads that make keys, at low priority; 0: as many as there are processor cores."""
    key_pool_persisted: int = Field(default=0, ge=0, le=1_000_000)
    """Up to how many RSA key pairs of each algorithm in use are kept sealed in the database as well, made
    while there is nothing better to do, so that a restart does not begin with none. One takes 3 KiB."""
    key_pool_ledger: Path | None = None
    """File, one for each machine, that says which of these were used; needed with `key_pool_persisted`. Keep
    it from whatever restores the database: it tells apart the keys that were used since the backup."""
    key_pool_days: float = Field(default=30, gt=0, le=365)
    """After how long such a key that nobody needed is destroyed."""
    signature: SignatureScheme = SignatureScheme.PKCS1
    """How RSA keys of CAs sign certificates and CRLs: `pkcs1`, or `pss` (RFC 4055), which older mail clients
    and gateways cannot check."""
    prepare_next_days: int = Field(default=0, ge=0, le=365)
    """How many days before an issuing CA cannot certify for `validity_days` any more the service makes the
    next one, where the root's key is here; 0: never, an operator does. It then takes over by itself."""
    isolated_issuers: Literal["preferred", "required"] = "preferred"
    """Who certifies for an isolated organization that has no active issuing CA of its own yet: the shared one
    (`preferred`), or nobody (`required`). Once it has one, nobody else does."""
    crl_partitions: int = Field(default=0, ge=0, le=1024)
    """Among how many CRLs each issuing CA spreads the certificates it issues from now on; 0: all name the
    complete one. A CRL of a share is short however much is revoked, but must say so in a critical extension,
    which GnuPG cannot read: it then takes no certificate of that CA. Choose 128 for a million of them."""
    crl_hours: int = Field(default=24, ge=1, le=24)
    """After how long a CRL is made anew though nothing was revoked; after a revocation it is made at once."""
    crl_validity_days: int = Field(default=7, ge=2, le=10)
    """How long a CRL holds; at most 10 (CA/B S/MIME BR 4.9.7)."""
    ocsp_validity_hours: int = Field(default=24, ge=8, le=240)
    """How long an OCSP response holds (CA/B S/MIME BR 4.9.10: 8 hours to 10 days). The service itself tells
    of a revocation within seconds; this is how long somebody may go on showing what it said before."""
    ocsp_nonce: Literal["ignore", "answer"] = "ignore"
    """What is done with a nonce in an OCSP request (RFC 9654): `ignore`, all are given the same response,
    from memory; `answer`, it is repeated in a response that is signed for this request alone."""
    ocsp_never_issued: Literal["revoked", "unknown"] = "revoked"
    """What is said of a serial number that was never issued: `revoked`, since 1970 and on hold (RFC 6960
    section 2.2); `unknown`, so that the client asks elsewhere."""
    ocsp_responder_days: int = Field(default=30, ge=3, le=90)
    """How long the certificate of the OCSP responder lives; it is replaced when a third of that is left."""
    ocsp_responder_key: Literal["software", "token"] = "software"
    """Where the next responders' keys are made: `software`, sealed in the database; `token`, in the token of
    `[pkcs11]`, where what replaces one destroys it. A token then signs every response that is not remembered:
    whoever asks for made-up serial numbers keeps it busy, one at a time for each process."""
    ocsp_remembered: int = Field(default=20_000, ge=0, le=1_000_000)
    """How many signed OCSP responses each process remembers; 2 KiB each."""

    @field_validator("key_pool_low")
    @classmethod
    def _low_is_below_high(cls, low: int | None, info: ValidationInfo) -> int | None:
        size = info.data.get("key_pool_size", 0)
        if low is not None and not (low < size or low == size == 0):
            raise ValueError("must be less than key_pool_size")
        return low

    @field_validator("key_pool_persisted")
    @classmethod
    def _persisted_keys_pass_through_memory(cls, persisted: int, info: ValidationInfo) -> int:
        if persisted and not info.data.get("key_pool_size", 0):
            raise ValueError("needs a key_pool_size of at least 1, through which they are used")
        return persisted

    @field_validator("key_pool_ledger")
    @classmethod
    def _persisted_keys_are_counted(cls, ledger: Path | None, info: ValidationInfo) -> Path | None:
        if ledger is None and info.data.get("key_pool_persisted"):
            raise ValueError("must be set, since key_pool_persisted is")
        return ledger


class Pkcs11Settings(_Section):
    """The token that holds keys of CAs, where one does."""

    module: Path | None = None
    """The PKCS#11 library of the token, such as `/usr/lib/softhsm/libsofthsm2.so`."""
    label: str | None = Field(default=None, min_length=1, max_length=32)
    """The label of the token. Keys in any other token are not here."""
    pin_file: Path | None = None
    """File, mode 0600, with the user PIN of the token; read anew for each login."""
    timeout_seconds: float = Field(default=1.5, ge=0.1, le=5)
    """How long a signature may take before the token counts as away. Somebody waits for it, and on SQLite all
    who write do."""


class DirectorySettings(_Section):
    """What is shown, and to whom."""

    suffix: str = "o=directory"
    """The LDAP naming context; recipients are below `ou=people`, gateways bind below `ou=gateways`."""
    anonymous_read: AnonymousRead = AnonymousRead.LOOPBACK
    """From where a caller without credentials may look known certificates up: `nobody`, `loopback`,
    `everyone`. Such a caller never causes a mint."""
    credentials_in_clear_from_loopback: bool = True
    """Whether this machine's own programs may send credentials without TLS. From elsewhere nobody may."""


class PolicySettings(_Section):
    """Which addresses are never minted."""

    reserved_local_parts: Names = ROLE_LOCAL_PARTS
    """Local parts behind which no person is; the names of RFC 3183 are reserved besides, always."""
    reserved_domains: Names = RESERVED_DOMAINS
    """Domains, with all below them, that no mail from outside reaches."""


class LimitSettings(_Section):
    """How much may be minted; 0 switches a limit off."""

    gateway_burst: int = Field(default=100, ge=0)
    """Mints a gateway may cause at once, and as many again per hour, evenly."""
    gateway_per_day: int = Field(default=1_000, ge=0)
    """Mints per gateway and day."""
    organization_per_day: int = Field(default=5_000, ge=0)
    """Mints per organization and day."""
    recipient_per_day: int = Field(default=3, ge=0)
    """Mints per mailbox and day, `+tag` and dots taken away, over all organizations."""
    domain_per_day: int = Field(default=20_000, ge=0)
    """Mints per recipient domain and day, over all organizations; far above what one of them may cause, so
    that none keeps the others from a large mail provider."""


class MintSettings(_Section):
    """How long a gateway waits."""

    patience_seconds: float = Field(default=1.8, gt=0, le=4)
    """Until a gateway is told to come back; below the 5 s at which gateways give up."""
    retry_after_seconds: int = Field(default=5, ge=1, le=3600)
    """After how long it is asked to come back."""
    delivery_days: float = Field(default=5, gt=0, le=30)
    """How long a key mail is tried before a human is told (RFC 5321 section 4.5.4.1)."""


class RenewalSettings(_Section):
    """When certificates are renewed; which are, organizations choose with `pushpki org set --renewal`."""

    days_before: float = Field(default=30, ge=0, le=400)
    """How long before its end a certificate is renewed, though not before half of its life is over. 0: none
    is."""
    lead_days_before: float = Field(default=3, ge=0, le=200)
    """How long before its end the new certificate is served first at the latest, whether its recipient has
    shown that it works or not; at most half of the time above."""
    per_hour: int = Field(default=600, ge=1, le=1_000_000)
    """How many the whole service renews in an hour at most, spread over its minutes."""


class TlsSettings(_Section):
    """The certificate of LDAPS and StartTLS and, where switched on, HTTPS."""

    certificate: Path | None = None
    """PEM, with its chain."""
    key: Path | None = None
    """PEM, unencrypted; keep it from other users of the machine."""


class HttpSection(_Section):
    """The HTTP front end."""

    listen: Listen = ListenAddress(host="127.0.0.1", port=8080)
    """Numeric address and port; port 0 finds a free one."""
    tls: bool = False
    """Whether it speaks HTTPS itself. Without, tokens are accepted from this machine only."""
    allowed_hosts: Names = frozenset()
    """Host names that requests may name, besides this machine's and those in `ca.public_url` and
    `pages.url`."""
    metrics: MetricsAccess = MetricsAccess.LOOPBACK
    """Who may read `/metrics`: `loopback`, this machine's own programs; `anyone`; `off`, nobody."""
    trusted_proxies: Networks = frozenset()
    """Networks, such as `10.0.0.7/32`, of proxies whose X-Forwarded-For and -Proto are believed."""


class LdapSection(_Section):
    """LDAP, with StartTLS. What does not concern the address holds for LDAPS too."""

    listen: Listen = ListenAddress(host="127.0.0.1", port=3890)
    """Numeric address and port; port 0 finds a free one."""
    smime_attribute: Literal["pkcs7", "der", "off"] = "pkcs7"
    """What userSMIMECertificate holds, for clients that ask for it by name: `pkcs7`, a package of the
    certificate and its chain; `der`, the certificate itself, for the Direct Project's .NET agent; `off`."""
    plain_attribute_names: bool = False
    """Whether certificates are returned as `userCertificate`, as Active Directory does, instead of
    `userCertificate;binary`, which the standard prescribes and Thunderbird insists on."""
    client_ca_file: Path | None = None
    """PEM certificates that gateways' TLS client certificates chain to, or these themselves. With it, clients
    are asked for a certificate (see `pushpki gateway certificate`); others are served as before."""
    idle_seconds: float = Field(default=60, gt=0, le=86_400)
    """After how long a connection on which nothing is asked is closed, while nobody has logged in."""
    idle_gateway_seconds: float = Field(default=900, gt=0, le=86_400)
    """The same for a gateway that has logged in: it may keep connections for its next question."""
    message_seconds: float = Field(default=20, gt=0, le=3600)
    """How long one message may take to arrive."""
    connections: int = Field(default=10_000, ge=1, le=1_000_000)
    """Connections of each process, LDAP and LDAPS together. An idle one takes about 4 KiB in clear, 50 KiB
    under TLS, and an open file; at start the process allows itself as many of these as the system lets it."""
    connections_per_address: int = Field(default=256, ge=1, le=1_000_000)
    """Those of them that come from one IPv4 address or one IPv6 network of 64 bits. This machine's own are
    limited only together with the others."""
    cache_mebibytes: int = Field(default=256, ge=0, le=1_048_576)
    """How much memory each process uses at most to remember answers; one takes two to three KiB. 0: none is
    remembered. What is revoked is not answered from memory for more than four seconds."""


class LdapsSection(_Section):
    """LDAP under TLS from the first byte."""

    listen: Listen = ListenAddress(host="127.0.0.1", port=6360)
    """Numeric address and port; port 0 finds a free one."""


class DeliverySection(_Section):
    """How key mails are sent, and how long keys are held."""

    hold_days: float = Field(default=7, ge=0, le=365)
    """How long the sealed private key is kept after the key mail was accepted, before it is destroyed. 0: it
    is destroyed at that moment, and key packages are always attached."""
    reminder_days: float = Field(default=7, gt=0, le=365)
    """When a recipient who has not shown that his key works is reminded, once, after the key mail went."""
    unproven_days: float = Field(default=30, gt=0, le=365)
    """When he is no longer waited for: the delivery counts as unproven, and nothing more is sent."""
    in_flight: int = Field(default=64, ge=1, le=1024)
    """Mails that one process works on at a time."""
    connections_per_host: int = Field(default=8, ge=1, le=256)
    """Connections to one smart host at a time."""
    first_retry_seconds: float = Field(default=60, gt=0, le=3600)
    """How long a mail that was not accepted waits for its second attempt, at least; at most twice that. Each
    further pause is twice as long, up to four hours (RFC 5321 section 4.5.4.1)."""
    poll_seconds: float = Field(default=30, gt=0, le=3600)
    """How often due mail is looked for that another process has queued."""
    helo_name: str = Field(default="localhost", pattern=r"^[A-Za-z0-9.-]{1,253}$")
    """What EHLO says; a name without a dot is replaced by the address (RFC 5321 section 4.1.4)."""
    ca_file: Path | None = None
    """PEM certificates that smart hosts may chain to, besides the system's."""
    allow_clear_beyond_loopback: bool = False
    """Whether a smart host on another machine may be spoken to without TLS, where its URL says so."""
    templates: Path | None = None
    """Folder with templates and logos of your own (see `pushpki mail templates export`); read at start."""


class DirectSection(_Section):
    """How mail goes directly to recipients' mail exchangers, for organizations without a smart host."""

    resolver: str | None = None
    """Numeric address of the DNS resolver to ask, such as `127.0.0.1` or `[::1]:5353`; without, whatever the
    system is configured to ask."""
    dnssec: bool = False
    """Whether that resolver validates, so that DANE (RFC 7672) is enforced. It must be on this machine."""
    require: Literal["encrypted", "authenticated"] = "encrypted"
    """What an exchanger must offer where its domain publishes neither DANE nor MTA-STS (RFC 8461), which are
    always enforced: `encrypted`, TLS with whatever certificate; `authenticated`, a certificate that chains to
    a trusted one and has the exchanger's name. No mail leaves in clear."""
    allow_private: bool = False
    """Whether mail exchangers may be at loopback and private addresses, as in a laboratory."""
    port: int = Field(default=25, ge=1, le=65535)
    """The port of mail exchangers; another one only in a laboratory."""


class RecoverySection(_Section):
    """How escrowed keys are got back, for organizations that escrow keys."""

    approvals: int = Field(default=2, ge=2, le=16)
    """How many people, recovery agents all of them, have to approve a request."""
    hours: float = Field(default=24, gt=0, le=24)
    """How long a request stands, and with it what was approved: until then the key has to be fetched."""


class WebhookSection(_Section):
    """How organizations' webhooks are called."""

    timeout_seconds: float = Field(default=10, gt=0, le=30)
    """How long a call may take, from the name to the status of the answer."""
    allow_private: bool = False
    """Whether webhooks may be on private networks, and without TLS on this machine. Addresses of metadata
    services of clouds, and link-local ones, are refused all the same."""
    ca_file: Path | None = None
    """PEM certificates that webhooks may chain to, besides the system's."""


class BouncesSection(_Section):
    """Where the operator's mail server hands bounces over; for a pipe there is `pushpki bounce take`."""

    listen: Listen | None = None
    """Numeric address and port, such as `127.0.0.1:2424`; without it nobody is listened to. Whoever can
    connect can hand in mail for live return paths, and nothing else."""
    protocol: Literal["lmtp", "smtp"] = "lmtp"
    """What is spoken."""


class PagesSection(_Section):
    """The pages that recipients are sent to."""

    url: str | None = Field(
        default=None,
        pattern=r"^(https://[A-Za-z0-9.\-:]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$",
    )
    """Where recipients reach this service, such as `https://keys.clinic.example`: the HTTP front end below
    that address. Without it mails carry no links: key packages are attached, nobody is asked for a proof that
    his key works, and nobody can ask for no more mail."""
    signing_certificate: Path | None = None
    """PEM, with its chain: what Apple's configuration profiles are signed with, so that devices show from
    whom they come. One that browsers trust, such as that of the pages, makes them say "Verified"."""
    signing_key: Path | None = None
    """PEM, unencrypted, mode 0600: its key."""


class AuditSection(_Section):
    """How the audit log is made provable."""

    heads_file: Path | None = None
    """File to which the signed heads of the audit log are appended; take it to another machine as it grows.
    What it holds can be neither cut off nor rewritten in the database without being noticed."""


class CpsSection(_Section):
    """What the certification practice statement says that no setting can."""

    statements: Path | None = None
    """TOML file with the operator's own words by section of RFC 3647, such as `"1.5.2" = "Security desk, …"`.
    What is missing in it is marked in the statement, and listed by `pushpki cps --json`."""


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        enable_decoding=False,  # a variable's value is the text of its key, not JSON
        extra="forbid",
        frozen=True,
    )

    service: ServiceSettings = ServiceSettings()
    database: DatabaseSettings = DatabaseSettings()
    master_key: MasterKeySettings = MasterKeySettings()
    ca: CaSettings = CaSettings()
    pkcs11: Pkcs11Settings = Pkcs11Settings()
    directory: DirectorySettings = DirectorySettings()
    policy: PolicySettings = PolicySettings()
    limits: LimitSettings = LimitSettings()
    mint: MintSettings = MintSettings()
    renewal: RenewalSettings = RenewalSettings()
    tls: TlsSettings = TlsSettings()
    http: HttpSection = HttpSection()
    ldap: LdapSection = LdapSection()
    ldaps: LdapsSection = LdapsSection()
    delivery: DeliverySection = DeliverySection()
    direct: DirectSection = DirectSection()
    bounces: BouncesSection = BouncesSection()
    pages: PagesSection = PagesSection()
    recovery: RecoverySection = RecoverySection()
    webhook: WebhookSection = WebhookSection()
    audit: AuditSection = AuditSection()
    cps: CpsSection = CpsSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file; no other source."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings
