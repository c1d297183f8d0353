"""Certificates out of PEM text (RFC 7468): each block by itself, whatever stands between them."""

import re
from typing import Final

from cryptography import x509

# The second label is an older one that OpenSSL takes, too.
_BLOCK: Final = re.compile(rb"-----BEGIN (X509 )?CERTIFICATE-----.*?-----END (X509 )?CERTIFICATE-----", re.DOTALL)


def certificates(content: bytes) -> list[x509.Certificate]:
    """All certificates, in order. Raises `ValueError` if there is none, or one cannot be read.

    cryptography has had a function for it only since version 39.
    """
    found = [x509.load_pem_x509_certificate(block.group()) for block in _BLOCK.finditer(content)]
    if not found:
        raise ValueError("no certificate in it")
    return found
