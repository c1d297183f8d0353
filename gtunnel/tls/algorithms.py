"""What a certificate is made with, in the words of HAProxy's `ssl_f_sig_alg` and `ssl_f_key_alg`."""

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from OpenSSL import crypto


def signature(certificate: crypto.X509) -> str:
    """Such as "sha256WithRSAEncryption" and "ecdsa-with-SHA256"."""
    try:
        return certificate.get_signature_algorithm().decode("ascii", "replace")
    except ValueError:
        # pyOpenSSL does not know it.
        return ""


def key(certificate: crypto.X509) -> str:
    """Such as "RSA2048" and "EC256"; "" for kinds that have one size only."""
    public = certificate.get_pubkey().to_cryptography_key()
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA{public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC{public.key_size}"
    return f"DSA{public.key_size}" if isinstance(public, dsa.DSAPublicKey) else ""
