"""Whether a key has signed an answer."""

from contextlib import suppress
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import SignatureAlgorithmOID

from gtunnel.tls.ocsp.errors import InconclusiveError

# cryptography loads it when a key is first used: in a chroot it could not be found then.
PRELOADED: Final = (backend,)

# Collisions are made at will: what they signed is signed by anybody.
_BROKEN = (hashes.MD5,)

_PSS_HASHES = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())


def check(answer: ocsp.OCSPResponse, key: object) -> None:
    """Raise `InconclusiveError` unless `key` has signed the answer."""
    try:
        _verify(answer, key)
    except InvalidSignature as error:
        raise InconclusiveError(reason="signature failure") from error
    except UnsupportedAlgorithm as error:
        raise InconclusiveError(reason="the answer's signature algorithm is not supported") from error


def _verify(answer: ocsp.OCSPResponse, key: object) -> None:
    signature, signed = answer.signature, answer.tbs_response_bytes
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, signed)
        return
    if answer.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS and isinstance(key, rsa.RSAPublicKey):
        _verify_pss(answer, key)
        return
    algorithm = answer.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, _BROKEN):
        raise InconclusiveError(reason="the answer's signature algorithm is not supported")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(algorithm))
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(signature, signed, algorithm)
    else:
        raise InconclusiveError(reason="the signer's kind of key is not supported")


def _verify_pss(answer: ocsp.OCSPResponse, key: rsa.RSAPublicKey) -> None:
    # cryptography does not say which hash an answer's parameters name: it is one of these, and made with its own MGF1.
    for algorithm in _PSS_HASHES:
        with suppress(InvalidSignature):
            filling = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
            key.verify(answer.signature, answer.tbs_response_bytes, filling, algorithm)
            return
    raise InvalidSignature
