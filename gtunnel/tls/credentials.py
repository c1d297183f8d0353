"""What we present: our certificate, its chain, and its private key; and parameters for a key exchange with DHE.

As in stunnel, `cert` is PEM or PKCS#12 (which brings its key along, so `key` does not matter), of repeated lines the
last one counts, and Diffie-Hellman parameters may stand in the certificate's file.
"""

import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from OpenSSL import SSL, crypto

from gtunnel.conf.settings import TlsSettings
from gtunnel.tls import bundle
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.library import LIBRARY
from gtunnel.tls.openssl import identities
from gtunnel.tls.openssl.engines import EngineError
from gtunnel.tls.passphrases import LockedError, WrongPassphraseError
from gtunnel.tls.setup import read_file, take_all
from gtunnel.tls.site import Site

_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
# What every kind of certificate in PEM has in its first line (older ones begin with X509 or TRUSTED).
_CERTIFICATE: Final = b"CERTIFICATE-----"
# What every kind of key in PEM has in its first line (RFC 7468, sections 10 and 11; older ones add RSA or EC).
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"
# The longer label is what OpenSSL writes where the group's order is known (openssl-dhparam(1), -dsaparam).
_DH_PARAMETERS: Final = re.compile(rb"-----BEGIN (X9\.42 )?DH PARAMETERS-----")

# RFC 7919, appendix A.1: ffdhe2048. Large enough for the default security level, and all peers know it.
_FFDHE2048: Final = b"""\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


def set_identity(context: SSL.Context, tls: TlsSettings, site: Site | None = None) -> None:
    """Load the certificate, its chain and its key. Raises `TlsSetupError` with all that is wrong."""
    site = site or Site()
    if tls.cert is None:
        return
    if tls.engine_id is not None or tls.engine_number is not None:
        _use_engine(context, tls, tls.cert, site)
    elif _looks_like_bundle(tls.cert):
        _use_bundle(context, tls.cert, site)
    else:
        _use_pem(context, tls.cert, tls.key or tls.cert, site)


def set_key_exchange(context: SSL.Context, tls: TlsSettings, site: Site | None = None) -> None:
    """Give DHE its parameters where the ciphers ask for it: those of the certificate's file, or well-known ones.

    Raises `TlsSetupError` for parameters that OpenSSL does not take.
    """
    if not identities.wants_dhe(context):
        return
    content = b"" if tls.cert is None else read_file("cert", tls.cert, site or Site())
    own = _DH_PARAMETERS.search(content)
    try:
        identities.use_dh_parameters(context, content[own.start() :] if own else _FFDHE2048)
    except SSL.Error as error:
        if own:
            reason = f"its Diffie-Hellman parameters: {openssl_reason(error)}"
            raise TlsSetupError(option="cert", value=tls.cert, reason=reason) from error
        # A security level for which 2048 bits are too few: the other ciphers remain.


def _use_engine(context: SSL.Context, tls: TlsSettings, cert: str, site: Site) -> None:
    """A certificate and a key that an engine keeps; what is there as a file is read as one."""
    engine = LIBRARY.engine(tls.engine_id, tls.engine_number)
    if engine is None:
        option, value = ("engineId", tls.engine_id) if tls.engine_id is not None else ("engineNum", tls.engine_number)
        raise TlsSetupError(option=option, value=value, reason="no such engine was named before the first section")
    key = tls.key or cert
    for option, value, use, load in (
        ("cert", cert, engine.use_certificate, partial(_use_chain, context, cert, site)),
        ("key", key, engine.use_key, partial(_use_key, context, "key", key, site)),
    ):
        if Path(value).exists():
            load()
            continue
        try:
            use(context, value)
        except EngineError as error:
            raise TlsSetupError(option=option, value=value, reason=f"engine {engine.identifier}: {error}") from error
        except SSL.Error as error:
            raise TlsSetupError(option=option, value=value, reason=openssl_reason(error)) from error


def _looks_like_bundle(file: str) -> bool:
    # Who opens it for good says why it cannot be read.
    with suppress(OSError):
        if Path(file).is_file():
            with Path(file).open("rb") as opened:
                return bundle.is_bundle(opened.read(bundle.HEAD_BYTES))
    return False


def _use_pem(context: SSL.Context, cert: str, key: str, site: Site) -> None:
    if key == cert:
        _use_chain(context, cert, site)
        _use_key(context, "cert", cert, site)
        return
    take_all(partial(_use_chain, context, cert, site), partial(_use_key, context, "key", key, site))
    try:
        context.check_privatekey()
    except SSL.Error as error:
        raise TlsSetupError(option="key", value=key, reason=f"does not belong to {cert}") from error


def _use_chain(context: SSL.Context, file: str, site: Site) -> None:
    content = read_file("cert", file, site)
    _demand_pem("cert", file, content, "x509")
    if _CERTIFICATE not in content:
        raise TlsSetupError(option="cert", value=file, reason="no certificate in it")
    try:
        context.use_certificate_chain_file(file)
    except SSL.Error as error:
        raise TlsSetupError(option="cert", value=file, reason=openssl_reason(error)) from error


def _use_key(context: SSL.Context, option: str, file: str, site: Site) -> None:
    content = read_file(option, file, site)
    _demand_pem(option, file, content, "pkey")
    if _PRIVATE_KEY not in content:
        remedy = ": set key" if option == "cert" else ""
        raise TlsSetupError(option=option, value=file, reason=f"no private key in it{remedy}")
    try:
        identities.use_key(context, _read_key(file, content, site))
    except (SSL.Error, crypto.Error) as error:
        raise TlsSetupError(option=option, value=file, reason=openssl_reason(error)) from error
    except LockedError as error:
        raise TlsSetupError(option=option, value=file, reason=f"cannot unlock the private key: {error}") from error


def _read_key(file: str, content: bytes, site: Site) -> crypto.PKey:
    """Raises `crypto.Error` and `LockedError`."""
    if not any(mark in content for mark in _ENCRYPTED):
        return identities.read_key(content, b"")

    def opened(phrase: bytes) -> crypto.PKey:
        try:
            return identities.read_key(content, phrase)
        except crypto.Error as error:
            # A wrong one can decrypt to something, which is then not a key.
            raise WrongPassphraseError from error

    return site.passphrases.unlock(file, opened)


def _use_bundle(context: SSL.Context, file: str, site: Site) -> None:
    content = read_file("cert", file, site)
    try:
        held = bundle.open_bundle(file, content, site.passphrases)
        identities.use_chain(context, held.certificate, held.issuers)
        identities.use_key(context, identities.read_key(held.key, b""))
    except bundle.BundleError as error:
        raise TlsSetupError(option="cert", value=file, reason=error) from error
    except LockedError as error:
        raise TlsSetupError(option="cert", value=file, reason=f"cannot unlock it: {error}") from error
    except (SSL.Error, crypto.Error) as error:
        raise TlsSetupError(option="cert", value=file, reason=openssl_reason(error)) from error


def _demand_pem(option: str, file: str, content: bytes, command: str) -> None:
    if b"-----BEGIN " in content:
        return
    # DER begins with a SEQUENCE; stunnel does not take it either.
    reason = "neither PEM nor PKCS#12" if option == "cert" else "not a PEM file"
    if content[:1] == b"\x30":
        reason += f"; if it is DER: openssl {command} -inform DER -in {file} -out FILE.pem"
    raise TlsSetupError(option=option, value=file, reason=reason)
