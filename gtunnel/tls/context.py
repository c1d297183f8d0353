"""From settings to an OpenSSL context. Contexts are built once, before workers are forked: all of them share the
ticket keys, so a session that one worker started is good in the others.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from OpenSSL import SSL

from gtunnel.conf.settings import ServiceSettings, TlsSettings, TlsVersion, VerificationSettings
from gtunnel.tls import binding
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.verification import verify_callback, verify_mode

_VERSIONS = {
    TlsVersion.ALL: 0,
    TlsVersion.SSLV3: SSL.SSL3_VERSION,
    TlsVersion.TLSV1: SSL.TLS1_VERSION,
    TlsVersion.TLSV1_1: SSL.TLS1_1_VERSION,
    TlsVersion.TLSV1_2: SSL.TLS1_2_VERSION,
    TlsVersion.TLSV1_3: SSL.TLS1_3_VERSION,
}
# OpenSSL takes 32 bytes of context; it only has to differ between services that verify differently.
_SESSION_CONTEXT_BYTES = 32
_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


@dataclass(frozen=True, slots=True)
class TlsContext:
    """A service's TLS, ready to start connections. `server_name` is what a client sends for a given host."""

    context: SSL.Context
    client: bool
    sni: str | None

    def engine(self, host: str | None = None) -> TlsEngine:
        """Start a connection. `host` is the name that the configuration connects to, if it is one."""
        return TlsEngine(self.context, client=self.client, server_name=self.server_name(host))

    def server_name(self, host: str | None) -> str | None:
        """The SNI to send. RFC 6066, section 3: literal addresses are not permitted in it."""
        if not self.client:
            return None
        name = host if self.sni is None else self.sni
        return None if not name or _is_literal(name) else name


def build(service: ServiceSettings) -> TlsContext:
    """Compile a service's TLS settings. Reads the certificate files. Raises `TlsSetupError`."""
    tls = service.tls
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    _set_versions(context, tls)
    _set_options(context, tls)
    # The security level first: certificates are judged by it when they are loaded.
    _set_lists(context, tls)
    _load_certificate(context, tls)
    _set_verification(context, service.verification, server=not service.client)
    context.set_session_id(service.name.encode()[:_SESSION_CONTEXT_BYTES])
    if service.client:
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return TlsContext(context, service.client, tls.sni)


def _set_versions(context: SSL.Context, tls: TlsSettings) -> None:
    try:
        context.set_min_proto_version(_VERSIONS[tls.version_min])
        context.set_max_proto_version(_VERSIONS[tls.version_max])
    except SSL.Error as error:
        raise TlsSetupError(what="sslVersionMin / sslVersionMax", reason="not supported by this OpenSSL") from error


def _set_options(context: SSL.Context, tls: TlsSettings) -> None:
    known = {name.lower(): bits for name, bits in binding.option_numbers().items()}
    wanted = 0
    for name, enabled in tls.options:
        bits = known.get(name.lower())
        if bits is None:
            raise TlsSetupError(what=f"options = {name}", reason="this OpenSSL has no such option (see -options)")
        wanted = wanted | bits if enabled else wanted & ~bits
        if not enabled and context.set_options(0) & bits:
            # SSL_CTX_clear_options is not bound: better to refuse than to pretend.
            raise TlsSetupError(what=f"options = -{name}", reason="OpenSSL sets it itself; it cannot be cleared here")
    context.set_options(wanted)


def _set_lists(context: SSL.Context, tls: TlsSettings) -> None:
    # At the end of the list, because DEFAULT works only as its first word (openssl-ciphers(1)). A level in `ciphers`
    # itself wins over `securityLevel`, as in stunnel.
    level = "" if "@SECLEVEL=" in tls.ciphers else f":@SECLEVEL={tls.security_level}"
    try:
        context.set_cipher_list(f"{tls.ciphers}{level}".encode())
    except SSL.Error as error:
        raise TlsSetupError(what=f"ciphers = {tls.ciphers}", reason=openssl_reason(error)) from error
    if tls.ciphersuites is not None:
        try:
            context.set_tls13_ciphersuites(tls.ciphersuites.encode())
        except SSL.Error as error:
            raise TlsSetupError(what=f"ciphersuites = {tls.ciphersuites}", reason=openssl_reason(error)) from error
    if tls.curves is not None and not binding.set_groups(context, tls.curves):
        raise TlsSetupError(what=f"curves = {tls.curves}", reason="Invalid groups list in 'curves'")


def _load_certificate(context: SSL.Context, tls: TlsSettings) -> None:
    if tls.cert is None:
        return
    key = tls.key or tls.cert
    for file in (tls.cert, key):
        _refuse_unreadable(file)
    try:
        context.use_certificate_chain_file(tls.cert)
    except SSL.Error as error:
        raise TlsSetupError(what=f"cert = {tls.cert}", reason=openssl_reason(error)) from error
    try:
        context.use_privatekey_file(key)
    except SSL.Error as error:
        raise TlsSetupError(what=f"key = {key}", reason=openssl_reason(error)) from error
    try:
        context.check_privatekey()
    except SSL.Error as error:
        raise TlsSetupError(what=f"key = {key}", reason=f"does not belong to {tls.cert}") from error


def _refuse_unreadable(file: str) -> None:
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise TlsSetupError(what=file, reason=error.strerror or error) from error
    if any(mark in content for mark in _ENCRYPTED):
        # OpenSSL would ask on the terminal, which a daemon has not got.
        raise TlsSetupError(what=file, reason="the private key is encrypted, which does not work yet")
    if b"-----BEGIN " not in content:
        raise TlsSetupError(what=file, reason="not a PEM file (PKCS#12 does not work yet)")


def _set_verification(context: SSL.Context, settings: VerificationSettings, *, server: bool) -> None:
    if settings.ca_file is not None or settings.ca_path is not None:
        for path in filter(None, (settings.ca_file, settings.ca_path)):
            if not Path(path).exists():
                raise TlsSetupError(what=path, reason="No such file or directory")
        try:
            context.load_verify_locations(settings.ca_file, settings.ca_path)
            if server and settings.ca_file is not None and settings.request:
                # The names a client picks its certificate by (RFC 8446, section 4.2.4).
                context.load_client_ca(settings.ca_file.encode())
        except SSL.Error as error:
            what = settings.ca_file or settings.ca_path
            raise TlsSetupError(what=what, reason=openssl_reason(error)) from error
    context.set_verify(verify_mode(settings), verify_callback(settings))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
