"""Is this peer who it should be? The verification callback, as a function of certificate, settings and trust.

OpenSSL calls it once for every certificate of the chain, from the root down, and again for each problem it finds.
The lines it wants logged travel with the connection (`Verdicts`), because a context is shared by all of them.
A resumed session does not come here: it was verified when it began, by the same service (its session id context).

Where unconvincing clients are redirected, they are not refused here: the handshake goes on, and the error stands as the
connection's verify result, which its session keeps.
"""

import contextlib
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from traceback import format_exc

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from OpenSSL.crypto import X509

from gtunnel.conf.settings import VerificationSettings
from gtunnel.events import Level
from gtunnel.tls import caengine, pem
from gtunnel.tls.castore import store_files, store_path
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl import binding, stores
from gtunnel.tls.openssl.verify import APPLICATION_VERIFICATION, OK, Decision
from gtunnel.tls.reasons import explanation, mismatch, name_text
from gtunnel.tls.renegotiation import Renegotiation
from gtunnel.tls.revocation import is_uncovered, passes
from gtunnel.tls.site import Site
from gtunnel.values import dataclass

# OpenSSL's errors (x509_vfy.h) that only say that the chain leads nowhere: no reproach to a certificate that is
# installed itself. Everything else about the leaf (expired, not yet valid, made for something else) still counts.
_UNABLE_TO_GET_ISSUER_CERT_LOCALLY = 20
_UNABLE_TO_VERIFY_LEAF_SIGNATURE = 21
_CHAIN_LEADS_NOWHERE = (_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, _UNABLE_TO_VERIFY_LEAF_SIGNATURE)

# A CApath directory holds NAME.0, NAME.1, … for subjects whose hashes collide; more than this many is no accident.
MAX_HASH_COLLISIONS = 64


@dataclass(slots=True)
class Verdicts:
    """What verification had to say about one connection, the OCSP answer that the peer stapled, and what came of
    renegotiating; its app data in OpenSSL."""

    lines: list[tuple[Level, str]] = field(default_factory=list)
    stapled: bytes = b""
    # Why the peer was rejected, and which certificate it was.
    rejected: str = ""
    # The first error that was found; 0 for none.
    error: int = OK
    # Whether a certificate above the peer's own was looked at: OpenSSL begins with the highest.
    issued: bool = False
    # Whether there was a pre-shared key to use: one of the name that the client gave, or our own.
    shared_key: bool = False
    renegotiation: Renegotiation = field(default_factory=Renegotiation)


def verify_mode(settings: VerificationSettings, *, tolerant: bool = False) -> int:
    """The SSL_VERIFY_ flags for a context. `tolerant`: whether the unconvincing are redirected, not refused."""
    if not settings.request:
        return SSL.VERIFY_NONE
    mode = SSL.VERIFY_PEER
    if settings.require and not tolerant:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    return mode


def decision(settings: VerificationSettings, *, tolerant: bool = False) -> Decision:
    """Make the callback. Reads `CAfile` and remembers it if peers are compared with it. Raises `TlsSetupError`."""
    judge = _judge(settings, _LocalCertificates(settings) if settings.peer else None)

    def decide(connection: SSL.Connection, certificate: X509, error: int, depth: int) -> tuple[bool, int]:
        verdicts = connection.get_app_data()
        if not isinstance(verdicts, Verdicts):
            return False, error or APPLICATION_VERIFICATION
        verdicts.issued |= depth > 0
        if not error and not verdicts.issued and is_uncovered(settings, certificate):
            error = stores.UNABLE_TO_GET_CRL
        # Who is to be redirected anyway is not judged any further.
        if not verdicts.error:
            try:
                verdicts.error = judge(verdicts.lines, certificate, error, depth)
            except Exception:  # noqa: BLE001 - a bug: it is told with the other lines, and nobody passes
                verdicts.lines += ((Level.ERR, f"INTERNAL ERROR: {line}") for line in format_exc().splitlines())
                return False, APPLICATION_VERIFICATION
            verdicts.rejected = _summary(verdicts.lines) if verdicts.error else ""
        return tolerant or not verdicts.error, verdicts.error

    return decide


def _summary(lines: list[tuple[Level, str]]) -> str:
    """The two lines of a rejection as one."""
    (_, problem), (_, rejected) = lines[-2:]
    return f"{problem.removeprefix('CERT: ')} ({rejected.removeprefix('Rejected by CERT ')})"


Judge = Callable[[list[tuple[Level, str]], X509, int, int], int]


def _judge(settings: VerificationSettings, local: "_LocalCertificates | None") -> Judge:
    """What is wrong with one certificate, as an error number; 0 if nothing is."""

    def judge(lines: list[tuple[Level, str]], certificate: X509, error: int, depth: int) -> int:
        if not settings.convincing:
            lines.append((Level.INFO, "Certificate verification disabled"))
            return OK
        ok = not error
        name = subject_text(certificate)
        if error and not settings.chain and (depth > 0 or error in _CHAIN_LEADS_NOWHERE):
            # `verifyPeer` alone: the issuers do not matter, the installed leaf does (as in stunnel).
            lines.append((Level.INFO, f"CERT: Pre-verification error ignored: {binding.verify_reason(error)}"))
            error = OK
        if error and passes(error, depth):
            return OK
        problem = _problem(settings, local, certificate, error, depth)
        if problem is None:
            # Said once per certificate: OpenSSL comes back with ok=0 for problems that are ignored here.
            if ok:
                level = Level.NOTICE if depth == 0 else Level.INFO
                lines.append((level, f"Certificate accepted at depth={depth}: {name}"))
            return OK
        lines.append((Level.WARNING, f"CERT: {problem}"))
        lines.append((Level.WARNING, f"Rejected by CERT at depth={depth}: {name}"))
        return error or APPLICATION_VERIFICATION

    return judge


def _problem(
    settings: VerificationSettings, local: "_LocalCertificates | None", certificate: X509, error: int, depth: int
) -> str | None:
    if error:
        more = explanation(certificate, error)
        return f"Pre-verification error: {binding.verify_reason(error)}" + (f" ({more})" if more else "")
    if depth > 0:
        return None
    if not subject_matches(settings, certificate):
        return f"Subject checks failed ({mismatch(certificate, settings)})"
    if local is not None and not local.contains(certificate):
        return "Certificate not found in local repository"
    return None


def subject_matches(settings: VerificationSettings, certificate: X509) -> bool:
    """Whether the leaf is for any of checkHost, checkIP and checkEmail; true if none of them was given."""
    if not (settings.hosts or settings.ips or settings.emails):
        return True
    return (
        any(binding.matches_host(certificate, host) for host in settings.hosts)
        or any(binding.matches_ip(certificate, address) for address in settings.ips)
        or (bool(settings.emails) and _matches_email(certificate, settings.emails))
    )


def _matches_email(certificate: X509, wanted: tuple[str, ...]) -> bool:
    # As X509_check_email does: the alternative names decide if there are any, the subject only otherwise.
    try:
        extensions = certificate.to_cryptography().extensions
        emails = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.RFC822Name
        )
    except x509.ExtensionNotFound:
        emails = []
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False  # what cannot be read proves nothing
    if not emails:
        emails = [value for name, value in binding.subject(certificate) if name == "emailAddress"]
    return bool({_folded(email) for email in emails} & {_folded(email) for email in wanted})


def _folded(email: str) -> str:
    # RFC 5280, section 7.5: the domain is compared without regard to case, the local part with it.
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain.lower()}"


def subject_text(certificate: X509) -> str:
    """A subject as stunnel's log shows it (see `name_text`)."""
    return name_text(binding.subject(certificate))


def issuer_text(certificate: X509) -> str:
    """An issuer, as `subject_text`."""
    return name_text(binding.issuer(certificate))


class _LocalCertificates:
    """The certificates that `verifyPeer` accepts: those of CAfile and CAengine, and those of CApath under the
    subject's hash."""

    def __init__(self, settings: VerificationSettings) -> None:
        self._directory = Path(settings.ca_path) if settings.ca_path else None
        self._known = _read(Path(settings.ca_file)) if settings.ca_file else frozenset()
        kept = (crypto.dump_certificate(crypto.FILETYPE_ASN1, one) for one in caengine.certificates(settings.ca_engine))
        self._known = self._known.union(kept)
        store = store_path(settings.ca_store) if settings.ca_store else None
        if store is not None:
            self._known = self._known.union(*map(_read, store_files(store, Site())))

    def contains(self, certificate: X509) -> bool:
        # OpenSSL's own bytes: a certificate that cryptography does not parse is no reason for a traceback.
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        return der in self._known or self._in_directory(certificate, der)

    def _in_directory(self, certificate: X509, der: bytes) -> bool:
        if self._directory is None:
            return False
        stem = f"{certificate.subject_name_hash():08x}"
        for number in range(MAX_HASH_COLLISIONS):
            file = self._directory / f"{stem}.{number}"
            if not file.exists():
                return False
            # A file that cannot be read proves nothing, and does not hide those after it.
            with contextlib.suppress(TlsSetupError):
                if der in _read(file):
                    return True
        return False


def _read(file: Path) -> frozenset[bytes]:
    try:
        certificates = pem.certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsSetupError(option="CAfile", value=file, reason=error) from error
    return frozenset(certificate.public_bytes(Encoding.DER) for certificate in certificates)
