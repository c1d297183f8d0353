"""A small certificate authority, and the certificates that tests want: good ones and bad ones.

Everything is written to files below one directory, keys with mode 0600, and is made when it is first asked for.
"""

import datetime
import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import needs

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_DAY = datetime.timedelta(days=1)
LOCAL_NAMES = ("localhost",)
LOCAL_IPS = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key. `cert` holds the leaf, then its issuer's; `pem` all that and the key in one file."""

    cert: Path
    key: Path
    pem: Path
    certificate: x509.Certificate

    @property
    def subject(self) -> str:
        """The common name."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a certificate is to say. `expired`: it ended yesterday; `future`: it begins in two days; otherwise it holds
    from yesterday for a month."""

    name: str
    dns: Sequence[str] = ()
    ips: Sequence[str] = ()
    emails: Sequence[str] = ()
    client: bool = False
    both: bool = False  # for servers and clients
    expired: bool = False
    future: bool = False
    algorithm: str = "ec"  # or "rsa", or "weak" (RSA with 1024 bits)
    purposes: Sequence[x509.ObjectIdentifier] | None = None  # what it may be used for; None: as `client` and `both` say
    signing: bool = True  # whether its key may sign
    odd: bool = False  # with a critical extension that nobody knows


class Authority:
    """A certificate authority. `ca_file` is its certificate, for CAfile and trust stores.

    With an `issuer` it is an intermediate one, whose issuer's certificate comes along in the chains.
    `limits` are more extensions of its certificate; `ca` is false for one that must not issue anything, and does.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        issuer: "Authority | None" = None,
        *,
        expired: bool = False,
        ca: bool = True,
        path_length: int | None = None,
        limits: Sequence[x509.ExtensionType] = (),
    ) -> None:
        self._directory = directory
        self._name = name
        self._issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), _name(issuer._name if issuer else name), self._key, expired=expired)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        builder = builder.add_extension(_key_usage(ca=ca), critical=True)
        for limit in limits:
            builder = builder.add_extension(limit, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if issuer is not None:
            builder = builder.add_extension(_issued_by(issuer._key), critical=False)
        self.certificate = builder.sign((issuer or self)._key, hashes.SHA256())
        self.ca_file = directory / f"{name}-ca.pem"
        self.ca_file.write_bytes(_pem(self.certificate))
        self._issued = 0
        self._lists = 0

    def issue(self, wish: Wish, forger: "Authority | None" = None) -> Identity:
        """Make a key and a certificate for it. A `forger` signs it in our name."""
        key = _new_key(wish.algorithm)
        builder = _leaf(wish, _name(self._name), key)
        builder = builder.add_extension(_issued_by(self._key), critical=False)
        certificate = builder.sign((forger or self)._key, hashes.SHA256())
        self._issued += 1
        stem = self._directory / f"{self._name}-{self._issued}-{wish.algorithm}"
        return _write(stem, certificate, key, self._chain)

    def issue_by_hand(self, *options: str) -> Identity:
        """A certificate as openssl(1) makes it with these options of `openssl x509 -req`, for localhost."""
        self._issued += 1
        stem = self._directory / f"{self._name}-{self._issued}-by-hand"
        key, request, cert = (stem.with_name(f"{stem.name}.{kind}") for kind in ("key.pem", "csr", "crt"))
        secret = stem.with_name(f"{stem.name}.ca-key.pem")
        secret.touch(mode=0o600)
        secret.write_bytes(_pkcs8(self._key))
        openssl = needs.program("openssl")
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
        by = ["-CA", str(self.ca_file), "-CAkey", str(secret), "-CAcreateserial", "-days", "30", *options]
        for argv in (
            [openssl, "req", "-new", *new, "-keyout", str(key), "-out", str(request)],
            [openssl, "x509", "-req", "-in", str(request), "-out", str(cert), *by],
        ):
            subprocess.run(argv, check=True, capture_output=True)
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
        found = serialization.load_pem_private_key(key.read_bytes(), None)
        assert isinstance(found, ec.EllipticCurvePrivateKey)
        return _write(stem, certificate, found, self._chain)

    def revocations(self, *revoked: x509.Certificate, start: int = -1, end: int = 30) -> bytes:
        """A revocation list in PEM. `start` and `end` say in how many days it begins and ceases to hold."""
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(_name(self._name))
        builder = builder.last_update(now + start * _DAY).next_update(now + end * _DAY)
        self._lists += 1
        builder = builder.add_extension(x509.CRLNumber(self._lists), critical=False)
        builder = builder.add_extension(_issued_by(self._key), critical=False)
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - _DAY).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def _chain(self) -> bytes:
        """Its certificate and those of its issuers."""
        return _pem(self.certificate) + (self._issuer._chain if self._issuer is not None else b"")

    @cached_property
    def ca_directory(self) -> Path:
        """A directory with the CA's certificate under its hashed name, for CApath."""
        directory = self._directory / f"{self._name}-capath"
        directory.mkdir()
        (directory / "ca.pem").write_bytes(_pem(self.certificate))
        subprocess.run([needs.program("openssl"), "rehash", str(directory)], check=True, capture_output=True)
        return directory


class Pki:
    """The certificates that most tests get along with. One per test session, in its own directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.authority = Authority(directory, "good")

    @property
    def ca(self) -> Path:
        """The trusted CA's certificate."""
        return self.authority.ca_file

    @cached_property
    def stranger(self) -> Authority:
        """A CA that nobody trusts."""
        return Authority(self._directory, "stranger")

    @cached_property
    def server(self) -> Identity:
        """For localhost, 127.0.0.1 and ::1, EC P-256."""
        return self.authority.issue(Wish(name="localhost", dns=LOCAL_NAMES, ips=LOCAL_IPS, emails=["host@example.org"]))

    @cached_property
    def server_rsa(self) -> Identity:
        """As `server`, RSA 2048."""
        return self.authority.issue(Wish(name="localhost", dns=LOCAL_NAMES, ips=LOCAL_IPS, algorithm="rsa"))

    @cached_property
    def expired(self) -> Identity:
        """As `server`, but it ended yesterday."""
        return self.authority.issue(Wish(name="localhost", dns=LOCAL_NAMES, ips=LOCAL_IPS, expired=True))

    @cached_property
    def wrong_host(self) -> Identity:
        """From the trusted CA, but for other.example.org and 192.0.2.99."""
        return self.authority.issue(Wish(name="other.example.org", dns=["other.example.org"], ips=["192.0.2.99"]))

    @cached_property
    def client(self) -> Identity:
        """A client's, from the trusted CA: alice, alice@example.org."""
        return self.authority.issue(Wish(name="alice", emails=["alice@example.org"], client=True))

    @cached_property
    def stranger_client(self) -> Identity:
        """A client's, from the CA that nobody trusts."""
        return self.stranger.issue(Wish(name="mallory", emails=["mallory@example.org"], client=True))

    @cached_property
    def stranger_server(self) -> Identity:
        """For localhost, from the CA that nobody trusts."""
        return self.stranger.issue(Wish(name="localhost", dns=LOCAL_NAMES, ips=LOCAL_IPS))

    @cached_property
    def self_signed(self) -> Identity:
        """For localhost, signed by its own key."""
        key = _new_key("ec")
        wish = Wish(name="localhost", dns=LOCAL_NAMES, ips=LOCAL_IPS)
        certificate = _leaf(wish, _name(wish.name), key).sign(key, hashes.SHA256())
        return _write(self._directory / "self-signed", certificate, key, b"")


def _new_key(algorithm: str) -> Key:
    if algorithm != "ec":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048 if algorithm == "rsa" else 1024)
    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, *, expired: bool, future: bool = False
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    start, end = (now - 30 * _DAY, now - _DAY) if expired else (now - _DAY, now + 30 * _DAY)
    if future:
        start = now + 2 * _DAY
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(start).not_valid_after(end)


def _leaf(wish: Wish, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    builder = _builder(_name(wish.name), issuer, key, expired=wish.expired, future=wish.future)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(ca=False, signing=wish.signing), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if wish.client or wish.both else []
    usages += [ExtendedKeyUsageOID.SERVER_AUTH] if not wish.client else []
    if wish.purposes is not None:
        usages = list(wish.purposes)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if wish.odd:
        odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
        builder = builder.add_extension(odd, critical=True)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in wish.dns]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in wish.ips]
    names += [x509.RFC822Name(email) for email in wish.emails]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _issued_by(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage(*, ca: bool, signing: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pkcs8(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(stem: Path, certificate: x509.Certificate, key: Key, chain: bytes) -> Identity:
    secret = _pkcs8(key)
    files = {
        "cert": _pem(certificate) + chain,
        "key": secret,
        "pem": _pem(certificate) + chain + secret,
    }
    paths = {kind: stem.with_name(f"{stem.name}.{kind}.pem") for kind in files}
    for kind, content in files.items():
        paths[kind].touch(mode=0o600)
        paths[kind].write_bytes(content)
    return Identity(cert=paths["cert"], key=paths["key"], pem=paths["pem"], certificate=certificate)
