"""What of the operator's configuration does each part of the service get? Narrow values of its own kind."""

import ssl
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from directory.delivery.exchanges.settings import DirectSettings, LeastProtection, NameServer
from directory.delivery.retry import Backoff
from directory.delivery.settings import DeliverySettings
from directory.errors import ConfigurationRefused
from directory.http.server import TlsFiles
from directory.http.services import HttpSettings
from directory.ldap.settings import (
    AttributeNames,
    ClearCredentials,
    LdapSettings,
    Presentation,
    SmimeForm,
)
from directory.settings import Settings

_LDAP_MARGIN_SECONDS = 0.2
"""What a search may take beyond the patience of the mint, which normally answers first."""
_LONGEST_HOST_REST = timedelta(seconds=30)


def ldap_settings(settings: Settings) -> LdapSettings:
    """Return what the LDAP front end goes by."""
    directory = settings.directory
    from_loopback = directory.credentials_in_clear_from_loopback
    return LdapSettings(
        suffix=directory.suffix,
        presentation=Presentation(
            names=AttributeNames.PLAIN if settings.ldap.plain_attribute_names else AttributeNames.BINARY,
            smime=SmimeForm(settings.ldap.smime_attribute),
        ),
        anonymous_read=directory.anonymous_read,
        clear_credentials=ClearCredentials.LOOPBACK if from_loopback else ClearCredentials.NOBODY,
        answer_within=settings.mint.patience_seconds + _LDAP_MARGIN_SECONDS,
        idle=settings.ldap.idle_seconds,
        idle_gateway=settings.ldap.idle_gateway_seconds,
        message=settings.ldap.message_seconds,
        connections=settings.ldap.connections,
        connections_per_peer=settings.ldap.connections_per_address,
    )


def http_settings(settings: Settings) -> HttpSettings:
    """Return what the HTTP front end goes by."""
    listen = settings.http.listen
    public = {urlsplit(url).hostname or "" for url in (settings.ca.public_url, settings.pages.url or "")}
    own = {"localhost", "127.0.0.1", "::1", listen.host} | public
    return HttpSettings(
        allowed_hosts=frozenset(own - {""}) | settings.http.allowed_hosts,
        anonymous_read=settings.directory.anonymous_read,
        credentials_in_clear_from_loopback=settings.directory.credentials_in_clear_from_loopback,
        metrics=settings.http.metrics,
        trusted_proxies=settings.http.trusted_proxies,
    )


def delivery_settings(settings: Settings) -> DeliverySettings:
    """Return what delivery goes by."""
    delivery = settings.delivery
    first_retry = timedelta(seconds=delivery.first_retry_seconds)
    return DeliverySettings(
        hold=timedelta(days=delivery.hold_days),
        backoff=Backoff(shortest=first_retry),
        # Shorter than the first pause: a mail that comes back must not find its smart host still at rest.
        host_rest=min(_LONGEST_HOST_REST, first_retry / 2),
        poll=timedelta(seconds=delivery.poll_seconds),
        in_flight=delivery.in_flight,
        connections_per_host=delivery.connections_per_host,
        helo_name=delivery.helo_name,
        ca_file=delivery.ca_file,
        allow_clear_beyond_loopback=delivery.allow_clear_beyond_loopback,
    )


def direct_settings(settings: Settings) -> DirectSettings:
    """Return what the way to mail exchangers goes by.

    Raises:
        ConfigurationRefused: the resolver is no numeric address, or not one that may be trusted.
    """
    direct = settings.direct
    return DirectSettings(
        resolver=None if direct.resolver is None else NameServer.parse(direct.resolver),
        dnssec=direct.dnssec,
        least=LeastProtection(direct.require),
        allow_private=direct.allow_private,
        smtp_port=direct.port,
    )


def http_tls(settings: Settings) -> TlsFiles | None:
    """Return the TLS files of HTTPS; None where HTTP is in clear.

    Raises:
        ConfigurationRefused: HTTPS is switched on without a certificate.
    """
    if not settings.http.tls:
        return None
    files = _tls_files(settings)
    if files is None:
        raise ConfigurationRefused(
            key="http.tls", reason="HTTPS needs a certificate", remedy="set tls.certificate and tls.key"
        )
    return files


def ldap_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the server side of TLS: 1.2 or newer, ciphers with forward secrecy (RFC 9325 section 4).

    Raises:
        ConfigurationRefused: certificate and key cannot be used, or one of them is missing; or those that
            clients' certificates shall chain to cannot be used.
    """
    files = _tls_files(settings)
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    try:
        # Without a password of ours OpenSSL would ask for an encrypted key's at the terminal, and wait.
        context.load_cert_chain(files.certificate, files.key, password=b"")
    except OSError as error:  # ssl.SSLError among them
        raise ConfigurationRefused(
            key="tls.certificate",
            reason=f"{files.certificate} and {files.key} cannot be used: {error.strerror or error}",
            remedy="give a PEM certificate chain and its unencrypted PEM key",
        ) from error
    if settings.ldap.client_ca_file is not None:
        _ask_for_client_certificates(context, settings.ldap.client_ca_file)
    return context


def _ask_for_client_certificates(context: ssl.SSLContext, trusted: Path) -> None:
    """Ask clients for a certificate; one that is shown must chain to a trusted one, or be one of them."""
    try:
        context.load_verify_locations(trusted)
    except OSError as error:  # ssl.SSLError among them
        raise ConfigurationRefused(
            key="ldap.client_ca_file",
            reason=f"{trusted} cannot be used: {error.strerror or error}",
            remedy="give PEM certificates",
        ) from error
    context.verify_mode = ssl.CERT_OPTIONAL
    # Gateways' certificates are often self-signed: then they themselves are what is trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _tls_files(settings: Settings) -> TlsFiles | None:
    certificate, key = settings.tls.certificate, settings.tls.key
    if certificate is not None and key is not None:
        return TlsFiles(certificate=certificate, key=key)
    if certificate is None and key is None:
        return None
    raise ConfigurationRefused(
        key="tls.key" if key is None else "tls.certificate",
        reason="is missing, while the other is set",
        remedy="set both tls.certificate and tls.key, or neither",
    )
