"""A certificate signed by itself, for as long as a demonstration lasts."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gtunnel.values import dataclass

# Clocks may differ a little between the maker and whoever verifies; nobody should use it much longer than today.
_BEFORE = datetime.timedelta(hours=1)
_AFTER = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfSigned:
    """The files. `cert` is at the same time what a client has to trust (CAfile)."""

    cert: Path
    key: Path


def make(directory: Path, name: str, ips: tuple[str, ...]) -> SelfSigned:
    """Write `NAME.cert.pem` and `NAME.key.pem` (mode 0600) for a host name and addresses. EC P-256, a week."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips)]
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _BEFORE).not_valid_after(now + _AFTER)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    # Its own issuer: without this, verification refuses it as a CA.
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    certificate = builder.sign(key, hashes.SHA256())

    files = SelfSigned(cert=directory / f"{name}.cert.pem", key=directory / f"{name}.key.pem")
    files.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    # The mode first: there is no moment at which others can read the key.
    files.key.touch(mode=0o600)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
