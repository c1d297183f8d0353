"""`config = COMMAND[:PARAMETER]`: OpenSSL's configuration commands.

Where OpenSSL is a shared library it executes them itself. In PyPI's wheels SSL_CONF_cmd cannot be called: there the
commands that bound functions can do are done here, and the others are refused.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from OpenSSL import SSL

from gtunnel.conf.settings import TlsSettings
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.openssl import binding, native, options
from gtunnel.tls.openssl.commands import Conversation
from gtunnel.tls.setup import take_all

Command = tuple[str, str | None]

# SSL_CONF_cmd(3ssl), "Protocol": the option that switches each version off.
_VERSIONS: Final = {
    "SSLv3": (SSL.SSL3_VERSION, "NO_SSLv3"),
    "TLSv1": (SSL.TLS1_VERSION, "NO_TLSv1"),
    "TLSv1.1": (SSL.TLS1_1_VERSION, "NO_TLSv1_1"),
    "TLSv1.2": (SSL.TLS1_2_VERSION, "NO_TLSv1_2"),
    "TLSv1.3": (SSL.TLS1_3_VERSION, "NO_TLSv1_3"),
}
# The same page, "Options": what each name sets. An exclamation mark: it clears that option, and -NAME sets it.
_OPTIONS: Final = {
    "sessionticket": "!NO_TICKET",
    "compression": "!NO_COMPRESSION",
    "emptyfragments": "!DONT_INSERT_EMPTY_FRAGMENTS",
    "bugs": "ALL",
    "dhsingle": "SINGLE_DH_USE",
    "ecdhsingle": "SINGLE_ECDH_USE",
    "serverpreference": "CIPHER_SERVER_PREFERENCE",
    "noresumptiononrenegotiation": "NO_SESSION_RESUMPTION_ON_RENEGOTIATION",
    "norenegotiation": "NO_RENEGOTIATION",
    "unsafelegacyrenegotiation": "ALLOW_UNSAFE_LEGACY_RENEGOTIATION",
    "unsafelegacyserverconnect": "LEGACY_SERVER_CONNECT",
    "clientrenegotiation": "ALLOW_CLIENT_RENEGOTIATION",
    "encryptthenmac": "!NO_ENCRYPT_THEN_MAC",
    "allownodhekex": "ALLOW_NO_DHE_KEX",
    "prefernodhekex": "PREFER_NO_DHE_KEX",
    "prioritizechacha": "PRIORITIZE_CHACHA",
    "middleboxcompat": "ENABLE_MIDDLEBOX_COMPAT",
    "antireplay": "!NO_ANTI_REPLAY",
    "extendedmastersecret": "!NO_EXTENDED_MASTER_SECRET",
    "canames": "!DISABLE_TLSEXT_CA_NAMES",
    "ktls": "ENABLE_KTLS",
    "txcertificatecompression": "!NO_TX_CERTIFICATE_COMPRESSION",
    "rxcertificatecompression": "!NO_RX_CERTIFICATE_COMPRESSION",
}
# Commands that are options of the configuration file as well.
_INSTEAD: Final = {
    "certificate": "cert",
    "privatekey": "key",
    "dhparameters": "cert, whose file may have them",
    "verifycafile": "CAfile",
    "verifycapath": "CApath",
    "verifymode": "verifyChain and requireCert",
    "requestcafile": "CAfile",
    "clientcafile": "CAfile",
}


def set_commands(context: SSL.Context, tls: TlsSettings, *, client: bool) -> None:
    """Execute the commands in order. Raises `TlsSetupError` with all that are refused."""
    if native.SHARED:
        _let_openssl(context, tls.commands, client=client)
    else:
        take_all(*(partial(emulate, context, command) for command in tls.commands))


def _let_openssl(context: SSL.Context, commands: tuple[Command, ...], *, client: bool) -> None:
    if not commands:
        return
    with Conversation(context, client=client) as conversation:
        take_all(*(partial(_say, conversation, command) for command in commands))
        reason = conversation.finish()
        if reason is not None:
            raise _refused(commands[-1], reason)


def _say(conversation: Conversation, command: Command) -> None:
    reason = conversation.say(*command)
    if reason is not None:
        raise _refused(command, reason)


def emulate(context: SSL.Context, command: Command) -> None:
    """Do what a command says with functions that are bound. Raises `TlsSetupError`."""
    name, parameter = command
    work = _EMULATED.get(name.lower())
    if work is None:
        other = _INSTEAD.get(name.lower())
        hint = f"use {other}" if other else "the distribution's own python3-openssl can (docs/debian.md)"
        raise _refused(command, f"the bindings of this OpenSSL cannot execute it: {hint}")
    if parameter is None:
        raise _refused(command, "it needs a parameter")
    try:
        reason = work(context, parameter)
    except SSL.Error as error:
        raise _refused(command, openssl_reason(error)) from error
    if reason is not None:
        raise _refused(command, reason)


def _refused(command: Command, reason: str) -> TlsSetupError:
    name, parameter = command
    written = name if parameter is None else f"{name}:{parameter}"
    return TlsSetupError(option="config", value=written, reason=reason, parsed=command)


def _ciphers(context: SSL.Context, parameter: str) -> str | None:
    context.set_cipher_list(parameter.encode())
    return None


def _ciphersuites(context: SSL.Context, parameter: str) -> str | None:
    binding.set_ciphersuites(context, parameter)
    return None


def _groups(context: SSL.Context, parameter: str) -> str | None:
    return None if binding.set_groups(context, parameter) else "OpenSSL does not take this list"


def _signatures(context: SSL.Context, parameter: str) -> str | None:
    return None if binding.set_signature_algorithms(context, parameter) else "OpenSSL does not take this list"


def _bound(setter: Callable[[SSL.Context, int], None], context: SSL.Context, parameter: str) -> str | None:
    if parameter != "None" and parameter not in _VERSIONS:
        return f"None, {', '.join(_VERSIONS)} are the versions"
    setter(context, 0 if parameter == "None" else _VERSIONS[parameter][0])
    return None


def _protocols(context: SSL.Context, parameter: str) -> str | None:
    everything = {"ALL": "NO_SSL_MASK"} | {name: option for name, (_, option) in _VERSIONS.items()}
    return _switch(context, parameter, {name.lower(): f"!{option}" for name, option in everything.items()})


def _options(context: SSL.Context, parameter: str) -> str | None:
    return _switch(context, parameter, _OPTIONS)


def _switch(context: SSL.Context, parameter: str, names: dict[str, str]) -> str | None:
    """Read `[+|-]NAME,…` into options that are set or cleared."""
    known, wanted = options.numbers(), options.get(context)
    for word in parameter.split(","):
        name = word.strip()
        enabled = not name.startswith("-")
        option = names.get(name.removeprefix("-" if not enabled else "+").lower())
        if option is None or option.removeprefix("!") not in known:
            return f"this OpenSSL knows no {name!r}"
        bits = known[option.removeprefix("!")]
        wanted = wanted | bits if enabled != option.startswith("!") else wanted & ~bits
    if not options.become(context, wanted):
        return "what is set already cannot be cleared by the bindings of this OpenSSL (docs/debian.md)"
    return None


# The proper spellings of what can be done without SSL_CONF_cmd.
EMULATED_NAMES: Final = (
    "CipherString",
    "Ciphersuites",
    "Groups",
    "SignatureAlgorithms",
    "MinProtocol",
    "MaxProtocol",
    "Protocol",
    "Options",
)
_EMULATED: Final[dict[str, Callable[[SSL.Context, str], str | None]]] = {
    "cipherstring": _ciphers,
    "ciphersuites": _ciphersuites,
    "groups": _groups,
    "curves": _groups,
    "signaturealgorithms": _signatures,
    "minprotocol": partial(_bound, SSL.Context.set_min_proto_version),
    "maxprotocol": partial(_bound, SSL.Context.set_max_proto_version),
    "protocol": _protocols,
    "options": _options,
}
