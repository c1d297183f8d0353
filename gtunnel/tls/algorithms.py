"""What a certificate is made with, in the words of HAProxy's `ssl_f_sig_alg` and `ssl_f_key_alg`."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from OpenSSL import crypto

_WITH_RSA: Final = "WithRSAEncryption"


def signature(certificate: crypto.X509) -> str:
    """Such as "RSA-SHA256" and "ecdsa-with-SHA256": OpenSSL's short names, of which pyOpenSSL gives the long ones."""
    try:
        name = certificate.get_signature_algorithm().decode("ascii", "replace")
    except ValueError:
        # One that OpenSSL does not know.
        return ""
    digest, with_rsa, _ = name.partition(_WITH_RSA)
    return f"RSA-{digest.upper()}" if with_rsa else name


def key(certificate: crypto.X509) -> str:
    """Such as "RSA2048" and "EC256"; "" for kinds that have one size only."""
    public = certificate.get_pubkey().to_cryptography_key()
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA{public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC{public.key_size}"
    return f"DSA{public.key_size}" if isinstance(public, dsa.DSAPublicKey) else ""
