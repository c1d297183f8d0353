"""What we present: our certificate, its chain, and its private key."""

from functools import partial

from OpenSSL import SSL

from gtunnel.conf.settings import TlsSettings
from gtunnel.tls.errors import TlsSetupError, openssl_reason
from gtunnel.tls.setup import read_file, take_all

_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
# What every kind of key in PEM has in its first line (RFC 7468, sections 10 and 11; older ones add RSA or EC).
_PRIVATE_KEY = b"PRIVATE KEY-----"


def set_identity(context: SSL.Context, tls: TlsSettings) -> None:
    """Load the certificate, its chain and its key. Raises `TlsSetupError` with all that is wrong."""
    if tls.cert is None:
        return
    if tls.key in (None, tls.cert):
        _load_certificate(context, tls.cert)
        _load_key(context, "cert", tls.cert)
        return
    key = str(tls.key)
    take_all(partial(_load_certificate, context, tls.cert), partial(_load_key, context, "key", key))
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
    content = read_file(option, file)
    if any(mark in content for mark in _ENCRYPTED):
        # OpenSSL would ask on the terminal, which a daemon has not got.
        raise TlsSetupError(option=option, value=file, reason="the private key is encrypted, which does not work yet")
    if b"-----BEGIN " not in content:
        raise TlsSetupError(option=option, value=file, reason="not a PEM file (PKCS#12 does not work yet)")
    return content
