"""What is unsafe in a configuration that works: `gtunnel check` prints all of it, the daemon logs the warnings.

Each advisor is a small function over one service or over the whole; files are looked at, never read. What cannot be
looked at (no permission, not there) is left to whoever opens it.
"""

import enum
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from gtunnel.address import HostPort
from gtunnel.conf import advice_kernel as kernel
from gtunnel.conf import advice_ocsp as ocsp
from gtunnel.conf import advice_protocol as protocols
from gtunnel.conf.settings import Configuration, Foreground, Place, ServiceSettings, TlsVersion
from gtunnel.values import dataclass

# Cipher strings that let in what no peer needs any more (openssl-ciphers(1)), if they are not switched off by ! or -.
_WEAK = "NULL eNULL aNULL ADH AECDH EXP EXPORT LOW DES 3DES RC2 RC4 MD5 ALL COMPLEMENTOFALL"
WEAK_CIPHERS = frozenset(_WEAK.split())
OLD_VERSIONS = (TlsVersion.ALL, TlsVersion.SSLV3, TlsVersion.TLSV1, TlsVersion.TLSV1_1)
# OpenSSL 3 speaks TLS 1.0 and 1.1 at level 0 only: their signatures use SHA-1 (SSL_CTX_set_security_level(3ssl)).
LEVEL_OF_OLD_VERSIONS = 0


class Severity(enum.Enum):
    """Whether to say it at each start and reload, or only to who asks: a remark may be just what was wanted."""

    WARNING = "warning"
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that is unsafe: where it comes from (line 0: the file), which service, what is so, and what to do."""

    place: Place
    service: str | None
    text: str
    remedy: str
    severity: Severity = Severity.WARNING

    def __str__(self) -> str:
        where = str(self.place) if self.place.line else self.place.file
        about = "" if self.service is None else f"Service [{self.service}]: "
        return f"{where}: {about}{self.text} ({self.remedy})"


Finding = tuple[str, str]
"""What is so, and what to do."""


def advise(configuration: Configuration) -> tuple[Advice, ...]:
    """Everything that is unsafe, the process' matters first, then service by service."""
    whole = Place(configuration.file, 0)
    found = [Advice(whole, None, *finding) for advisor in PROCESS_ADVISORS for finding in advisor(configuration)]
    for service in configuration.services:
        found += [
            Advice(service.place, service.name, *finding, severity)
            for severity, advisors in SERVICE_ADVISORS.items()
            for advisor in advisors
            for finding in advisor(service, configuration)
        ]
    return tuple(found)


def warnings(configuration: Configuration) -> tuple[Advice, ...]:
    """What is worth a warning each time."""
    return tuple(advice for advice in advise(configuration) if advice.severity is Severity.WARNING)


def _silent_daemon(configuration: Configuration) -> Iterator[Finding]:
    output = configuration.output
    if output.file is None and not output.syslog and output.foreground is not Foreground.YES:
        yield "nothing is logged anywhere", "set output, or syslog = yes"


def _files_others_can_replace(configuration: Configuration) -> Iterator[Finding]:
    for option, path in (("output", configuration.output.file), ("pid", configuration.process.pid_file)):
        if path is not None and _writable_by_all(Path(path).parent):
            yield f"{option} = {path} is in a directory that everyone can write to", "use a directory of root's"


def _same_names(configuration: Configuration) -> Iterator[Finding]:
    seen: dict[str, Place] = {}
    for service in configuration.services:
        first = seen.setdefault(service.name, service.place)
        if first is not service.place:
            text = f"two services are named [{service.name}]: {first} and {service.place}"
            yield text, "give each its own name: the log cannot tell them apart"


def _ignored_options(configuration: Configuration) -> Iterator[Finding]:
    for note in configuration.notes:
        yield note, "remove the line"


def _unverified_server(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    if service.client and not service.verification.convincing and service.tls.psk_secrets is None:
        yield (
            "the server's certificate is not verified: anyone between can read and change everything",
            "set verifyChain = yes with CAfile or CApath and checkHost, or verifyPeer = yes with CAfile",
        )


def _any_server_of_the_ca(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    if service.client and not service.transparency.destination and _no_names(service):
        yield "every server with a certificate of the trusted CAs is accepted", "set checkHost or checkIP"


def _any_peer_of_the_ca(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    if not service.client and _no_names(service):
        remedy = "if not all of them are meant: set checkEmail or checkHost, or use a CA of your own"
        yield "every client with a certificate of the trusted CAs is accepted", remedy
    if service.client and service.transparency.destination and _no_names(service):
        # Which name it should be is not known: the connection has a destination, not a name.
        remedy = "trust only CAs whose servers are all meant, or connect to one server"
        yield "every server with a certificate of the trusted CAs is accepted, whatever its name", remedy


def _no_names(service: ServiceSettings) -> bool:
    """Whether the CA alone decides who is accepted."""
    verification = service.verification
    checked = verification.hosts or verification.ips or verification.emails
    return verification.chain and not verification.peer and not checked


def _optional_certificate(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    verification = service.verification
    if not service.client and verification.convincing and not verification.require:
        yield "clients without a certificate are accepted", "set requireCert = yes"


def _required_but_unverified(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    if not service.client and service.verification.require and not service.verification.convincing:
        yield "any certificate is accepted, made by anyone", "set verifyChain = yes or verifyPeer = yes"


def _exposed_key(service: ServiceSettings, configuration: Configuration) -> Iterator[Finding]:
    key = service.tls.key
    status = None if key is None else _status(Path(key))
    if status is None:
        return
    # A group that may read it is a choice (Debian's ssl-cert); stunnel says nothing of it either.
    if status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        yield f"Insecure file permissions on {key} (mode {stat.S_IMODE(status.st_mode):04o})", f"chmod 600 {key}"
    if status.st_uid not in _own_ids(configuration):
        yield f"the private key {key} belongs to another user (uid {status.st_uid})", f"chown root {key}"


def _exposed_shared_keys(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    yield from _exposed(service.tls.psk_secrets)
    yield from _exposed(service.protocol.socks.users)


def _exposed(file: str | None) -> Iterator[Finding]:
    status = None if file is None else _status(Path(file))
    if status is not None and status.st_mode & stat.S_IRWXO:
        yield f"Insecure file permissions on {file} (mode {stat.S_IMODE(status.st_mode):04o})", f"chmod 600 {file}"


def _logged_keys(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    if service.tls.keylog is not None:
        yield (
            f"the keys of all connections are written to {service.tls.keylog}: whoever reads it can read them",
            "remove keylog once the problem is found",
        )
        yield from _exposed(service.tls.keylog)


def _unreadable_trust(service: ServiceSettings, configuration: Configuration) -> Iterator[Finding]:
    if not service.verification.convincing:
        return
    file, directory = service.verification.ca_file, service.verification.ca_path
    if file is not None and not os.access(file, os.R_OK):
        yield f"CAfile = {file} cannot be read", "correct the path or its permissions"
    if directory is not None:
        # CApath is read while connections are served: inside the jail, if there is one.
        inside = Path(configuration.process.chroot or "/", directory.lstrip("/")) if directory[0] == "/" else directory
        if not os.access(inside, os.R_OK | os.X_OK):
            yield f"CApath = {directory} cannot be read", "correct the path or its permissions"


def _open_proxy(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    ports = [endpoint.port for endpoint in service.accept if isinstance(endpoint, HostPort) and _everywhere(endpoint)]
    if not ports:
        return
    where = f"port {ports[0]}"
    capture = service.capture
    if service.transparency.destination:
        if capture is None or not (capture.from_networks or capture.to_networks):
            yield (
                f"whoever can have connections redirected to {where} has them forwarded to any address",
                "limit it with captureFrom or captureTo, or accept on one address",
            )
    elif service.client:
        secret = " with our certificate" if service.tls.cert is not None else ""
        yield f"everyone who reaches {where} is connected to the server{secret}", "accept on 127.0.0.1 or one address"


def _passes_in_the_clear(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    capture = service.capture
    if capture is not None and not capture.fail_closed and service.client:
        yield (
            "while gtunnel is down, what it captures goes on unencrypted (captureFailClosed = no)",
            "leave captureFailClosed out, if it must not",
        )


def _old_versions(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    tls = service.tls
    if tls.version_max in OLD_VERSIONS[1:]:
        yield f"only {tls.version_max.value} and older are spoken", "leave sslVersion and sslVersionMax out"
    elif tls.version_min in OLD_VERSIONS and tls.security_level <= LEVEL_OF_OLD_VERSIONS:
        yield "TLS 1.0 and 1.1 are allowed (securityLevel = 0)", "set sslVersionMin = TLSv1.2"


def _low_level(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    lowered = "@SECLEVEL=0" in service.tls.ciphers.upper()
    if lowered or service.tls.security_level <= LEVEL_OF_OLD_VERSIONS:
        yield "securityLevel = 0 allows keys and signatures of any weakness", "set securityLevel = 1 or higher"


def _weak_ciphers(service: ServiceSettings, _: Configuration) -> Iterator[Finding]:
    words = service.tls.ciphers.replace(",", ":").replace(" ", ":").split(":")
    off = {word[1:] for word in words if word[:1] in {"!", "-"}}
    # A leading + only changes the order.
    weak = [
        word for word in words if word[:1] != "+" and not WEAK_CIPHERS.isdisjoint(word.split("+")) and word not in off
    ]
    if weak:
        yield f"ciphers lets weak ones in: {', '.join(weak)}", "leave ciphers out, or use HIGH"


SERVICE_ADVISORS: dict[Severity, tuple[Callable[[ServiceSettings, Configuration], Iterator[Finding]], ...]] = {
    Severity.WARNING: (
        _unverified_server,
        _any_server_of_the_ca,
        _optional_certificate,
        _required_but_unverified,
        _exposed_key,
        _exposed_shared_keys,
        _logged_keys,
        _unreadable_trust,
        _open_proxy,
        _passes_in_the_clear,
        _old_versions,
        _low_level,
        _weak_ciphers,
        ocsp.nobody_is_asked_about,
        ocsp.weak_answers,
        protocols.open_socks,
        protocols.believed_headers,
        kernel.without_effect,
    ),
    Severity.REMARK: (
        _any_peer_of_the_ca,
        protocols.unused_options,
        protocols.unused_lines_of_virtual_services,
        ocsp.inconclusive_answers,
        ocsp.idle_flags,
    ),
}
PROCESS_ADVISORS: tuple[Callable[[Configuration], Iterator[Finding]], ...] = (
    _silent_daemon,
    _files_others_can_replace,
    _same_names,
    _ignored_options,
)


def _everywhere(endpoint: HostPort) -> bool:
    """Whether a listener is on all addresses. One that is named was chosen."""
    return endpoint.host in {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def _status(path: Path) -> os.stat_result | None:
    with suppress(OSError, ValueError):
        return path.stat()
    return None


def _writable_by_all(directory: Path) -> bool:
    status = _status(directory)
    return status is not None and bool(status.st_mode & stat.S_IWOTH)


def _own_ids(configuration: Configuration) -> set[int]:
    ids = {0, os.geteuid()}
    user = configuration.process.user
    if user is not None and user.isdigit():
        ids.add(int(user))
    elif user is not None:
        with suppress(KeyError):
            ids.add(pwd.getpwnam(user).pw_uid)
    return ids
