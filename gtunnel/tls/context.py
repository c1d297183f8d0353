"""From settings to an OpenSSL context. Contexts are built once, before workers are forked: all of them share the
ticket keys, so a session that one worker started is good in the others.
"""

import ipaddress
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from OpenSSL import SSL

from gtunnel.conf.settings import ServiceSettings, TlsSettings, TlsVersion, VerificationSettings
from gtunnel.tls import binding
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsSetupError, TlsSeveralSetupError, openssl_reason
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
# What every kind of key in PEM has in its first line (RFC 7468, sections 10 and 11; older ones add RSA or EC).
_PRIVATE_KEY = b"PRIVATE KEY-----"


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
    """Compile a service's TLS settings. Reads the certificate files. Raises `TlsSetupError` with all that is wrong."""
    tls = service.tls
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    _take(
        partial(_set_version, context.set_min_proto_version, "sslVersionMin", tls.version_min),
        partial(_set_version, context.set_max_proto_version, "sslVersionMax", tls.version_max),
        partial(_set_options, context, tls),
        # The security level first: certificates are judged by it when they are loaded.
        partial(_set_ciphers, context, tls),
        partial(_set_ciphersuites, context, tls),
        partial(_set_curves, context, tls),
        partial(_set_identity, context, tls),
        partial(_set_verification, context, service.verification, server=not service.client),
    )
    context.set_session_id(service.name.encode()[:_SESSION_CONTEXT_BYTES])
    if service.client:
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return TlsContext(context, service.client, tls.sni)


def _take(*steps: Callable[[], None]) -> None:
    """Take all steps, also after one that failed. Raises `TlsSetupError` with the problems of all."""
    errors: list[TlsSetupError] = []
    for step in steps:
        try:
            step()
        except TlsSetupError as error:
            errors.append(error)
    try:
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise TlsSeveralSetupError(tuple(problem for error in errors for problem in error.problems))
    finally:
        # An error refers to this frame, and the frame must not refer to it: in a circle both would keep all callers'
        # variables, descriptors of other services among them, until the garbage is collected.
        errors.clear()


def _set_version(setter: Callable[[int], None], option: str, version: TlsVersion) -> None:
    try:
        setter(_VERSIONS[version])
    except SSL.Error as error:
        raise TlsSetupError(option=option, value=version.value, reason="not supported by this OpenSSL") from error


def _set_options(context: SSL.Context, tls: TlsSettings) -> None:
    known = {name.lower(): bits for name, bits in binding.option_numbers().items()}
    own = context.set_options(0)
    _take(*(partial(_refuse_option, name, enabled, known.get(name.lower()), own) for name, enabled in tls.options))
    wanted = 0
    for name, enabled in tls.options:
        bits = known[name.lower()]
        wanted = wanted | bits if enabled else wanted & ~bits
    context.set_options(wanted)


def _refuse_option(name: str, enabled: bool, bits: int | None, own: int) -> None:
    """Refuse what cannot be done; `own` are the options that OpenSSL sets itself."""
    reason = None
    if bits is None:
        reason = "this OpenSSL has no such option (see -options)"
    elif not enabled and own & bits:
        # SSL_CTX_clear_options is not bound: better to refuse than to pretend.
        reason = "OpenSSL sets it itself; it cannot be cleared here"
    if reason is not None:
        value = name if enabled else f"-{name}"
        raise TlsSetupError(option="options", value=value, reason=reason, parsed=(name, enabled))


def _set_ciphers(context: SSL.Context, tls: TlsSettings) -> None:
    # At the end of the list, because DEFAULT works only as its first word (openssl-ciphers(1)). A level in `ciphers`
    # itself wins over `securityLevel`, as in stunnel.
    level = "" if "@SECLEVEL=" in tls.ciphers else f":@SECLEVEL={tls.security_level}"
    try:
        context.set_cipher_list(f"{tls.ciphers}{level}".encode())
    except SSL.Error as error:
        raise TlsSetupError(option="ciphers", value=tls.ciphers, reason=openssl_reason(error)) from error


def _set_ciphersuites(context: SSL.Context, tls: TlsSettings) -> None:
    if tls.ciphersuites is None:
        return
    try:
        context.set_tls13_ciphersuites(tls.ciphersuites.encode())
    except SSL.Error as error:
        raise TlsSetupError(option="ciphersuites", value=tls.ciphersuites, reason=openssl_reason(error)) from error


def _set_curves(context: SSL.Context, tls: TlsSettings) -> None:
    if tls.curves is not None and not binding.set_groups(context, tls.curves):
        raise TlsSetupError(option="curves", value=tls.curves, reason="Invalid groups list in 'curves'")


def _set_identity(context: SSL.Context, tls: TlsSettings) -> None:
    if tls.cert is None:
        return
    if tls.key in (None, tls.cert):
        _load_certificate(context, tls.cert)
        _load_key(context, "cert", tls.cert)
        return
    key = str(tls.key)
    _take(partial(_load_certificate, context, tls.cert), partial(_load_key, context, "key", key))
    try:
        context.check_privatekey()
    except SSL.Error as error:
        raise TlsSetupError(option="key", value=key, reason=f"does not belong to {tls.cert}") from error


def _load_certificate(context: SSL.Context, file: str) -> None:
    _read_pem("cert", file)
    try:
        context.use_certificate_chain_file(file)
    except SSL.Error as error:
        raise TlsSetupError(option="cert", value=file, reason=openssl_reason(error)) from error


def _load_key(context: SSL.Context, option: str, file: str) -> None:
    if _PRIVATE_KEY not in _read_pem(option, file):
        remedy = ": set key" if option == "cert" else ""
        raise TlsSetupError(option=option, value=file, reason=f"no private key in it{remedy}")
    try:
        context.use_privatekey_file(file)
    except SSL.Error as error:
        raise TlsSetupError(option=option, value=file, reason=openssl_reason(error)) from error


def _read_pem(option: str, file: str) -> bytes:
    content = _read(option, file)
    if any(mark in content for mark in _ENCRYPTED):
        # OpenSSL would ask on the terminal, which a daemon has not got.
        raise TlsSetupError(option=option, value=file, reason="the private key is encrypted, which does not work yet")
    if b"-----BEGIN " not in content:
        raise TlsSetupError(option=option, value=file, reason="not a PEM file (PKCS#12 does not work yet)")
    return content


def _read(option: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TlsSetupError(option=option, value=file, reason=error.strerror or error) from error


def _set_verification(context: SSL.Context, settings: VerificationSettings, *, server: bool) -> None:
    _take(
        partial(_load_trusted_file, context, settings.ca_file, announced=server and settings.request),
        partial(_load_trusted_directory, context, settings.ca_path),
    )
    context.set_verify(verify_mode(settings), verify_callback(settings))


def _load_trusted_file(context: SSL.Context, file: str | None, *, announced: bool) -> None:
    if file is None:
        return
    _read("CAfile", file)
    try:
        context.load_verify_locations(file)
        if announced:
            # The names a client picks its certificate by (RFC 8446, section 4.2.4).
            context.load_client_ca(file.encode())
    except SSL.Error as error:
        raise TlsSetupError(option="CAfile", value=file, reason=openssl_reason(error)) from error


def _load_trusted_directory(context: SSL.Context, directory: str | None) -> None:
    if directory is None:
        return
    try:
        # OpenSSL looks into it when a certificate is asked for, and then says nothing of a directory that is none.
        is_directory = stat.S_ISDIR(Path(directory).stat().st_mode)
    except OSError as error:
        raise TlsSetupError(option="CApath", value=directory, reason=error.strerror or error) from error
    if not is_directory:
        raise TlsSetupError(option="CApath", value=directory, reason="Not a directory")
    try:
        context.load_verify_locations(None, directory)
    except SSL.Error as error:
        raise TlsSetupError(option="CApath", value=directory, reason=openssl_reason(error)) from error


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
