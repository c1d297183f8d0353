"""What a context may negotiate: versions, options, ciphers, groups, and how weak things may be."""

from collections.abc import Callable
from functools import partial

from OpenSSL import SSL

from gtunnel.conf.settings import TlsSettings, TlsVersion
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.openssl import binding
from gtunnel.tls.setup import take_all

_VERSIONS = {
    TlsVersion.ALL: 0,
    TlsVersion.SSLV3: SSL.SSL3_VERSION,
    TlsVersion.TLSV1: SSL.TLS1_VERSION,
    TlsVersion.TLSV1_1: SSL.TLS1_1_VERSION,
    TlsVersion.TLSV1_2: SSL.TLS1_2_VERSION,
    TlsVersion.TLSV1_3: SSL.TLS1_3_VERSION,
}


def set_policy(context: SSL.Context, tls: TlsSettings) -> None:
    """Apply the settings. Raises `TlsSetupError` with all that is wrong."""
    take_all(
        partial(_set_version, context.set_min_proto_version, "sslVersionMin", tls.version_min),
        partial(_set_version, context.set_max_proto_version, "sslVersionMax", tls.version_max),
        partial(_set_options, context, tls),
        partial(_set_ciphers, context, tls),
        partial(_set_ciphersuites, context, tls),
        partial(_set_curves, context, tls),
    )


def _set_version(setter: Callable[[int], None], option: str, version: TlsVersion) -> None:
    try:
        setter(_VERSIONS[version])
    except SSL.Error as error:
        raise TlsSetupError(option=option, value=version.value, reason="not supported by this OpenSSL") from error


def _set_options(context: SSL.Context, tls: TlsSettings) -> None:
    known = {name.lower(): bits for name, bits in binding.option_numbers().items()}
    own = context.set_options(0)
    take_all(*(partial(_refuse_option, name, enabled, known.get(name.lower()), own) for name, enabled in tls.options))
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
        binding.set_ciphersuites(context, tls.ciphersuites)
    except SSL.Error as error:
        raise TlsSetupError(option="ciphersuites", value=tls.ciphersuites, reason=openssl_reason(error)) from error


def _set_curves(context: SSL.Context, tls: TlsSettings) -> None:
    if tls.curves is not None and not binding.set_groups(context, tls.curves):
        raise TlsSetupError(option="curves", value=tls.curves, reason="Invalid groups list in 'curves'")
