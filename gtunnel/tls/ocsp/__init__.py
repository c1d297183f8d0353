"""OCSP (RFC 6960) without a network: questions about certificates, and what their answers are worth."""
