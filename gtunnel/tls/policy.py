"""What a context may negotiate: versions, options, ciphers, groups, and how weak things may be."""

from collections.abc import Callable
from functools import partial

from OpenSSL import SSL

from gtunnel.conf.options_tls import DEFAULT_CIPHERS, DEFAULT_CIPHERSUITES, DEFAULT_CURVES
from gtunnel.conf.settings import TlsSettings, TlsVersion
from gtunnel.tls import keyshares
from gtunnel.tls.commands import set_commands
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.openssl import binding, identities, options
from gtunnel.tls.renegotiation import watch
from gtunnel.tls.setup import take_all

# Where nobody has said otherwise, a server decides among the ciphers of our default, and clients get ChaCha20 that
# want it first: those have no AES in hardware. That clients decide is what scanners have against stunnel.
_OWN_ORDER = ("CIPHER_SERVER_PREFERENCE", "PRIORITIZE_CHACHA")

_VERSIONS = {
    TlsVersion.ALL: 0,
    TlsVersion.SSLV3: SSL.SSL3_VERSION,
    TlsVersion.TLSV1: SSL.TLS1_VERSION,
    TlsVersion.TLSV1_1: SSL.TLS1_1_VERSION,
    TlsVersion.TLSV1_2: SSL.TLS1_2_VERSION,
    TlsVersion.TLSV1_3: SSL.TLS1_3_VERSION,
}

# OpenSSL 4.0.0.
_NEGOTIATES_FINITE_FIELDS = 0x40000000
_FINITE_FIELDS = ":ffdhe2048:ffdhe3072"


def set_policy(context: SSL.Context, tls: TlsSettings, *, client: bool) -> None:
    """Apply the settings. Raises `TlsSetupError` with all that is wrong."""
    take_all(
        partial(_set_version, context.set_min_proto_version, "sslVersionMin", tls.version_min),
        partial(_set_version, context.set_max_proto_version, "sslVersionMax", tls.version_max),
        partial(_set_options, context, tls, client=client),
        partial(_set_ciphers, context, tls),
        partial(_set_ciphersuites, context, tls),
        partial(_set_curves, context, tls, client=client),
        # After all that they may say otherwise; before certificates, as in stunnel.
        partial(set_commands, context, tls, client=client),
    )
    by_client = bool(options.get(context) & options.numbers().get("ALLOW_CLIENT_RENEGOTIATION", 0))
    # OpenSSL itself refuses clients that have not been allowed to. TLS 1.3 has no renegotiation.
    if (client or by_client or not tls.renegotiation) and tls.version_min is not TlsVersion.TLSV1_3:
        watch(context, allowed=tls.renegotiation)


def _set_version(setter: Callable[[int], None], option: str, version: TlsVersion) -> None:
    try:
        setter(_VERSIONS[version])
    except SSL.Error as error:
        raise TlsSetupError(option=option, value=version.value, reason="not supported by this OpenSSL") from error


def _set_options(context: SSL.Context, tls: TlsSettings, *, client: bool) -> None:
    known = {name.lower(): bits for name, bits in options.numbers().items()}
    take_all(*(partial(_demand_option, name, enabled, known) for name, enabled in tls.options))
    wanted = own = options.get(context)
    if not client and _leaves_choice(tls):
        for name in _OWN_ORDER:
            wanted |= options.numbers().get(name, 0)
    for name, enabled in tls.options:
        bits = known[name.lower()]
        wanted = wanted | bits if enabled else wanted & ~bits
    if not options.become(context, wanted):
        # Better to refuse than to pretend.
        reason = "OpenSSL sets it itself, and the bindings of this build cannot clear it (docs/debian.md)"
        surplus = own & ~wanted
        take_all(
            *(
                partial(_refuse_option, name, enabled, reason)
                for name, enabled in tls.options
                if not enabled and known[name.lower()] & surplus
            )
        )


def _leaves_choice(tls: TlsSettings) -> bool:
    """Whether nothing says which ciphers there are, nor who decides among them."""
    decided = {name.upper() for name, _ in tls.options} & {*_OWN_ORDER}
    return not decided and tls.ciphers == DEFAULT_CIPHERS and tls.ciphersuites in {None, DEFAULT_CIPHERSUITES}


def _demand_option(name: str, enabled: bool, known: dict[str, int]) -> None:
    if name.lower() not in known:
        _refuse_option(name, enabled, "this OpenSSL has no such option (see -options)")


def _refuse_option(name: str, enabled: bool, reason: str) -> None:
    value = name if enabled else f"-{name}"
    raise TlsSetupError(option="options", value=value, reason=reason, parsed=(name, enabled))


def _set_ciphers(context: SSL.Context, tls: TlsSettings) -> None:
    # A level in `ciphers` itself wins over `securityLevel`, as in stunnel. Where the level cannot be set by itself it
    # goes to the end of the list, because DEFAULT works only as its first word (openssl-ciphers(1)).
    native = binding.set_security_level(context, tls.security_level)
    level = "" if native or "@SECLEVEL=" in tls.ciphers else f":@SECLEVEL={tls.security_level}"
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


def _set_curves(context: SSL.Context, tls: TlsSettings, *, client: bool) -> None:
    more = "" if client or not _names_finite_fields(context) else _FINITE_FIELDS
    if tls.curves is None:
        if not binding.set_groups(context, keyshares.GROUPS + more):
            binding.set_groups(context, DEFAULT_CURVES + more)
    elif not binding.set_groups(context, tls.curves + more):
        raise TlsSetupError(option="curves", value=tls.curves, reason="Invalid groups list in 'curves'")


def _names_finite_fields(context: SSL.Context) -> bool:
    """Whether DHE is asked for, and this OpenSSL wants its groups named as RFC 7919 says, in TLS 1.2 as well: then a
    client that names some gets DHE with one of them only, whatever parameters there are."""
    return SSL.OPENSSL_VERSION_NUMBER >= _NEGOTIATES_FINITE_FIELDS and identities.wants_dhe(context)
