"""Which sessions a context lets resume, and how they get into it and out of it.

A server gives its clients tickets, which hold the whole session, encrypted with keys that all workers inherited (or
with `ticketKeySecret`, which other machines have, too). For clients that take no tickets, and where sessions are kept
on a server (`sessiond`), a session has an id: the one that a ClientHello names is fetched before OpenSSL sees the
hello, and put where it looks (`openssl.sessions`). A session is handed out only after its peer has convinced us.

A session belongs to what it was made for: its context has a digest of the service's name and of all that verification
demands, and OpenSSL resumes it nowhere else. So what was good enough for other demands does not open this service.
"""

import hashlib
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from OpenSSL import SSL

from gtunnel.conf.settings import ServiceSettings, SessionSettings, TlsVersion, VerificationSettings
from gtunnel.tls.castore import MAX_FILES, store_files, store_path
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.hello import TLS1_3, ClientHello
from gtunnel.tls.openssl import binding, sessions
from gtunnel.tls.setup import take_all
from gtunnel.tls.site import Site

WHAT_WOULD_HELP: Final = (
    "the OpenSSL inside this cryptography package cannot do it; with Debian's python3-openssl gtunnel can"
)


def session_context(service: ServiceSettings, site: Site | None = None) -> bytes:
    """What the sessions of a service are good for: 32 bytes (SSL_CTX_set_session_id_context(3)).

    It is the same on other machines with the same service, wherever their certificates lie.
    """
    verification = service.verification
    demands = (
        verification.request,
        verification.require,
        verification.chain,
        verification.peer,
        verification.hosts,
        verification.ips,
        verification.emails,
        bool(service.redirect),
        verification.ca_engine,
        verification.crl_file is not None or verification.crl_path is not None,
    )
    digest = hashlib.sha256(repr((service.name, demands)).encode())
    for file in _trusted(verification, site or Site()):
        digest.update(hashlib.sha256(file).digest())
    return digest.digest()


def _trusted(verification: VerificationSettings, site: Site) -> list[bytes]:
    """The content of all files that decide. A list that names somebody ends the sessions that he has, and so does
    taking away whom he was trusted by."""
    if not verification.convincing:
        return []
    store = store_path(verification.ca_store) if verification.ca_store is not None else None
    found: list[bytes] = []
    # Whoever loads them says so if they cannot be read.
    with suppress(TlsSetupError):
        files = [] if store is None else store_files(store, site)
        files += [Path(name) for name in (verification.ca_file, verification.crl_file) if name is not None]
        files += _hashed(verification.ca_path, site, "*.[0-9]*")
        files += _hashed(verification.crl_path, site, "*.r[0-9]*")
        for file in files:
            with suppress(OSError):
                if file.is_file():
                    found.append(file.read_bytes())
    return found


def _hashed(directory: str | None, site: Site, names: str) -> list[Path]:
    """The certificates (HASH.N) or revocation lists (HASH.rN) of a directory, by the names that they are found by."""
    if directory is None:
        return []
    with suppress(OSError):
        return sorted(site.later(directory).glob(names))[:MAX_FILES]
    return []


def set_resumption(context: SSL.Context, service: ServiceSettings, good_for: bytes) -> None:
    """Let a context resume what the settings allow, among sessions that are good for the same (`session_context`).

    Raises `TlsSetupError` for what this OpenSSL has not got.
    """
    settings = service.sessions
    if not service.client:
        # A client's would keep it from using a pre-shared key, whose session OpenSSL makes up.
        context.set_session_id(good_for)
    # OpenSSL takes 0 for "never".
    context.set_timeout(max(1, int(settings.seconds)))
    # What a client resumes is ours to keep (`tunnel.resumption`), and so is what a server keeps by id.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if not may_resume(service):
        context.set_options(SSL.OP_NO_TICKET)
        sessions.set_ticket_count(context, 0)
    elif not service.client:
        _set_server(context, settings)


def may_resume(service: ServiceSettings) -> bool:
    """Whether the service's sessions can be resumed at all."""
    # Whether a resumed session's peer had shown a key or nothing cannot be told where both are possible, and the
    # second is to be redirected.
    ambiguous = bool(service.redirect) and service.tls.psk_secrets is not None
    return service.sessions.resume and service.sessions.seconds > 0 and not ambiguous


def _set_server(context: SSL.Context, settings: SessionSettings) -> None:
    take_all(partial(_set_ticket_keys, context, settings), partial(_demand_server, context, settings))
    if sessions.CAN_OFFER:
        context.set_session_cache_mode(SSL.SESS_CACHE_SERVER | SSL.SESS_CACHE_NO_INTERNAL_STORE)
    if binding.context_has_option(context, "NO_TICKET"):
        # The id of one of them is all that we learn.
        sessions.set_ticket_count(context, 1)


def _set_ticket_keys(context: SSL.Context, settings: SessionSettings) -> None:
    if settings.ticket_secrets is not None:
        mac, key = (_stretched(secret) for secret in (settings.ticket_secrets.mac, settings.ticket_secrets.key))
        name = hashlib.sha256(b"gtunnel ticket name" + key + mac).digest()[: sessions.TICKET_NAME_BYTES]
        if not sessions.set_ticket_keys(context, name, mac, key):
            raise TlsSetupError(option="ticketKeySecret", value="***", reason=WHAT_WOULD_HELP)


def _demand_server(context: SSL.Context, settings: SessionSettings) -> None:
    if settings.server is not None:
        if not sessions.CAN_OFFER:
            raise TlsSetupError(option="sessiond", value=settings.server, reason=WHAT_WOULD_HELP)
        # As in stunnel: with a ticket a client would not ask for what the server keeps.
        context.set_options(SSL.OP_NO_TICKET)


def _stretched(secret: bytes) -> bytes:
    """A secret as long as OpenSSL's: one of 16 bytes is no weaker than it was."""
    if len(secret) == sessions.TICKET_SECRET_BYTES:
        return secret
    return hashlib.sha256(secret).digest()


# A client has been given one such ticket for each connection; whoever names more of them wants to keep us busy.
MAX_WANTED: Final = 4


class ServerSessions:
    """A server context's sessions that have an id."""

    def __init__(self, context: SSL.Context, service: ServiceSettings, good_for: bytes) -> None:
        """`good_for` tells sessions of different services and demands apart (`session_context`)."""
        self.good_for = good_for
        self._context = context
        tls = service.tls
        off = dict(tls.options).get("NO_TLSv1_3", False)
        self._speaks_1_3 = tls.version_max in {TlsVersion.ALL, TlsVersion.TLSV1_3} and not off
        self._tickets = not binding.context_has_option(context, "NO_TICKET")
        self.enabled = sessions.CAN_OFFER and may_resume(service) and not service.client

    def wanted(self, hello: ClientHello) -> tuple[bytes, ...]:
        """The ids of sessions that OpenSSL would look for, the first few."""
        if self._speaks_1_3 and hello.newest >= TLS1_3:
            # RFC 8446, section 4.2.11: tickets of ours that hold an id only.
            ids = () if self._tickets else hello.identities
        else:
            ids = () if self._tickets and hello.ticket else (hello.session_id,)
        return tuple(one for one in ids if 0 < len(one) <= sessions.MAX_SESSION_ID)[:MAX_WANTED]

    def offer(self, encoded: bytes) -> SSL.Session | None:
        """Put a session where OpenSSL looks; None if it is none. To be withdrawn after the handshake."""
        session = sessions.decode(encoded)
        if session is not None:
            sessions.offer(self._context, session)
        return session

    def withdraw(self, session: SSL.Session) -> None:
        """Take it away again."""
        sessions.withdraw(self._context, session)

    def to_keep(self, engine: TlsEngine, hello: ClientHello) -> tuple[bytes, bytes] | None:
        """The id and the encoding of a new session, if clients come back with its id; None where they have a ticket."""
        has_ticket = self._tickets and (hello.ticket is not None or engine.tickets_follow)
        if has_ticket or (engine.reused and not engine.tickets_follow):
            return None
        session = engine.session()
        identity = b"" if session is None else sessions.session_id(session)
        encoded = b"" if session is None or not identity else sessions.encode(session)
        return (identity, encoded) if encoded else None
