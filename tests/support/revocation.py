"""A CA whose certificates name OCSP responders, `openssl ocsp` as such a responder, and one that says what it is told.

    root ── sub ── leaf            each of sub and leaf may name a responder (authority information access)
"""

import datetime
import http.server
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.support import needs
from tests.support.certificates import Identity
from tests.support.daemon import Daemon

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """A certificate, its key, and the certificates above it (the nearest first)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: "tuple[Holder, ...]" = ()

    @property
    def issuer(self) -> x509.Certificate:
        """Who issued it: itself, for a root."""
        return self.above[0].certificate if self.above else self.certificate

    def identity(self, directory: Path, name: str) -> Identity:
        """Written to files: the leaf and the certificates between it and the root."""
        chain = b"".join(pem(one.certificate) for one in (self, *self.above[:-1]))
        secret = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        paths = {}
        for kind, content in {"cert": chain, "key": secret, "pem": chain + secret}.items():
            paths[kind] = directory / f"{name}.{kind}.pem"
            paths[kind].touch(mode=0o600)
            paths[kind].write_bytes(content)
        return Identity(**paths, certificate=self.certificate)


def root(name: str = "root") -> Holder:
    """A CA that signed itself."""
    return _make(name, None, ca=True)


def issue(
    above: Holder,
    name: str,
    *,
    ca: bool = False,
    responders: Sequence[str] = (),
    usage: x509.ObjectIdentifier | None = None,
    expired: bool = False,
) -> Holder:
    """A certificate of `above`: a leaf for localhost, or a CA. `usage`: its extended key usage."""
    return _make(name, above, ca=ca, responders=responders, usage=usage, expired=expired)


def signer(above: Holder, name: str = "responder") -> Holder:
    """A responder's certificate, to which `above` delegates."""
    return issue(above, name, usage=ExtendedKeyUsageOID.OCSP_SIGNING)


def pem(certificate: x509.Certificate) -> bytes:
    """As PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _make(
    name: str,
    above: Holder | None,
    *,
    ca: bool,
    responders: Sequence[str] = (),
    usage: x509.ObjectIdentifier | None = None,
    expired: bool = False,
) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(above.certificate.subject if above else subject)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - 30 * DAY).not_valid_after(now - DAY if expired else now + 30 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if responders:
        access = [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
            for url in responders
        ]
        builder = builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(above.key if above else key, hashes.SHA256())
    return Holder(certificate, key, (above, *above.above) if above else ())


@dataclass(slots=True)
class Records:
    """What a CA's database says of its certificates: "V" (good) or "R" (revoked); the others are unknown."""

    entries: dict[x509.Certificate, str] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """As openssl-ca(1) keeps it."""
        lines = []
        for certificate, state in self.entries.items():
            end = "400101000000Z"
            revoked = "240101000000Z,keyCompromise" if state == "R" else ""
            serial = f"{certificate.serial_number:X}"
            serial = serial.rjust(len(serial) + len(serial) % 2, "0")
            name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
            lines.append(f"{state}\t{end}\t{revoked}\t{serial}\tunknown\t/CN={name!s}\n")
        path.write_text("".join(lines))
        return path


def openssl_responder(
    directory: Path, port: int, ca: Holder, records: Records, *options: str, signed_by: Holder | None = None
) -> Daemon:
    """Run `openssl ocsp` for the certificates of `ca`. It serves one request at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    index = records.write(directory / "index.txt")
    authority = directory / "ca.pem"
    authority.write_bytes(pem(ca.certificate))
    by = (signed_by or ca).identity(directory, "signer")
    argv = [needs.program("openssl"), "ocsp", "-index", str(index), "-CA", str(authority), "-port", str(port)]
    argv += ["-rsigner", str(by.cert), "-rkey", str(by.key), *options]
    daemon = Daemon(argv, launch=subprocess.Popen)
    try:
        daemon.wait_for("waiting for OCSP client connections")
    except BaseException:
        daemon.kill()
        raise
    return daemon


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What an answer is to say. Times are relative to now, in days; `ends` None leaves nextUpdate out."""

    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    begins: float = -1.0
    ends: float | None = 1.0
    nonce: bytes | None = None
    by_key: bool = True
    embed: tuple[x509.Certificate, ...] = ()
    algorithm: hashes.HashAlgorithm = field(default_factory=hashes.SHA1)


def answer(about: Holder, by: Holder, saying: Saying | None = None, issuer: x509.Certificate | None = None) -> bytes:
    """An OCSP response about a certificate, signed by `by`."""
    said = saying or Saying()
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    revoked = said.status is ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=about.certificate,
        issuer=issuer or about.issuer,
        algorithm=said.algorithm,
        cert_status=said.status,
        this_update=now + said.begins * DAY,
        next_update=None if said.ends is None else now + said.ends * DAY,
        revocation_time=now - 2 * DAY if revoked else None,
        revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
    )
    encoding = ocsp.OCSPResponderEncoding.HASH if said.by_key else ocsp.OCSPResponderEncoding.NAME
    builder = builder.responder_id(encoding, by.certificate)
    if said.embed:
        builder = builder.certificates(list(said.embed))
    if said.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(said.nonce), critical=False)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Responder:
    """An HTTP server that answers each POST with what `reply` makes of the request; `requests` are those that came."""

    def __init__(self, reply: Callable[[bytes], bytes], *, status: int = 200, headers: Sequence[str] = ()) -> None:
        self.requests: list[bytes] = []
        self.reply = reply
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append(body)
                content = outer.reply(body)
                self.send_response(status)
                for header in headers:
                    self.send_header(*header.split(": ", 1))
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
