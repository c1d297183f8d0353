"""Sessions that are kept outside of OpenSSL, so that any worker can resume them - or any machine.

A server looks the session up that a client names, before OpenSSL sees the ClientHello. A client keeps the session that
each of its servers gave it last; with TLS 1.3 that comes with the first data, not with the handshake. However often it
is renewed, it is good for `sessionCacheTimeout` after the full handshake in which the server's certificate was checked.
"""

import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Final, Protocol

from gtunnel.events import Log
from gtunnel.tls.context import TlsContext
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.hello import ClientHello
from gtunnel.tls.openssl import sessions
from gtunnel.tls.openssl.sessions import Session
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.values import dataclass

# What precedes a client's session: when its full handshake was (monotonic seconds).
_BORN: Final = struct.Struct("=d")
# Servers whose sessions a worker keeps at hand, each a few KiB.
MAX_AT_HAND: Final = 256
# How often a worker shares what it has from a server, where one connection follows the other.
SHARE_SECONDS: Final = 1.0


class SessionStore(Protocol):
    """Where sessions are kept. One that cannot be reached has nothing: that costs a full handshake, nothing more."""

    def get(self, key: bytes, log: Log) -> bytes | None:
        """What was kept by this key; None if nothing is, any more."""

    def put(self, key: bytes, value: bytes, seconds: float, log: Log) -> None:
        """Keep something for so long, if possible."""


class ServerResumption:
    """The sessions of a server's clients that have an id instead of a ticket."""

    def __init__(self, tls: TlsContext, store: SessionStore, seconds: float) -> None:
        self._sessions = tls.sessions
        self._store = store
        self._seconds = seconds

    def offered(self, hello: ClientHello | None, log: Log) -> AbstractContextManager[None]:
        """For the time of a handshake: let OpenSSL find the session that the client names."""
        wanted = () if hello is None else self._sessions.wanted(hello)
        return self._offered(wanted, log) if wanted else nullcontext()

    @contextmanager
    def _offered(self, wanted: tuple[bytes, ...], log: Log) -> Iterator[None]:
        offered: list[Session] = []
        for identity in wanted:
            encoded = self._store.get(identity, log)
            session = None if encoded is None else self._sessions.offer(encoded)
            if session is not None:
                offered.append(session)
                break
        try:
            yield
        finally:
            for session in offered:
                self._sessions.withdraw(session)

    def keep(self, engine: TlsEngine, hello: ClientHello | None, log: Log) -> None:
        """Keep the session of a client that has convinced us."""
        kept = None if hello is None else self._sessions.to_keep(engine, hello)
        if kept is not None:
            self._store.put(*kept, self._seconds, log)


@dataclass(slots=True)
class _AtHand:
    """A session, when its full handshake was, the group that the server took, and when one like it was last shared."""

    session: Session
    born: float
    group: str | None
    shared: float


class ClientResumption:
    """The sessions that a client service has with its servers.

    Each worker has its own at hand, and shares one of them with the others from time to time: for those that have none
    yet. To write a session down for them, and to read it, with the certificates in it, takes longer than much of what
    else a resumed connection needs. When a server resumes what it was offered no more (it was started anew), nobody
    relies on what is at hand: so that costs one full handshake, not one of each worker.
    """

    def __init__(
        self, store: SessionStore, seconds: float, room: int = MAX_AT_HAND, refusals: SharedCounter | None = None
    ) -> None:
        """`store` and `refusals` are what workers share; `room` is for so many servers at hand."""
        self._store = store
        self._seconds = seconds
        self._room = min(room, MAX_AT_HAND)
        self._at_hand: dict[str, _AtHand] = {}
        # Of all workers, and how many of them this one has heard of.
        self._refusals = SharedCounter() if refusals is None else refusals
        self._known = 0

    def recall(self, server: str, log: Log) -> "Remembered":
        """What is remembered of a server: an address, and the name that it is asked for."""
        refusals = self._refusals.count
        if refusals != self._known:
            self._known = refusals
            self._at_hand.clear()
        mine, now = self._at_hand.get(server), monotonic()
        if mine is not None and now < mine.born + self._seconds:
            return Remembered(self, server, mine.session, mine.born, mine.group)
        kept = self._store.get(server.encode(), log)
        if kept is None or len(kept) <= _BORN.size:
            return Remembered(self, server, None, now)
        (born,) = _BORN.unpack_from(kept)
        return Remembered(self, server, sessions.decode(kept[_BORN.size :]), born)

    def keep(self, server: str, session: Session, born: float, group: str | None, log: Log) -> None:
        """Keep a session until its time is over, and the group that the server took."""
        now, mine = monotonic(), self._at_hand.get(server)
        left = born + self._seconds - now
        if left <= 0:
            return
        shared = mine.shared if mine is not None and mine.born == born else now - SHARE_SECONDS
        if now - shared >= SHARE_SECONDS:
            encoded = sessions.encode(session)
            if not encoded:
                return
            self._store.put(server.encode(), _BORN.pack(born) + encoded, left, log)
            shared = now
        if mine is None and len(self._at_hand) >= self._room:
            self._at_hand.clear()
        self._at_hand[server] = _AtHand(session, born, group, shared)

    def refused(self) -> None:
        """A server has not resumed what it was offered."""
        self._refusals.next()

    def let_go(self, server: str) -> None:
        """Have a server's session read anew: the one at hand may be good for nothing any more."""
        self._at_hand.pop(server, None)


class Remembered:
    """One connection's view of its server's session: what it offers, and what it learns.

    `group` is what the server takes, if that is known, and always the same.
    """

    def __init__(
        self,
        resumption: ClientResumption,
        server: str,
        session: Session | None,
        born: float,
        group: str | None = None,
    ) -> None:
        self.session = session
        self.group = group
        self._resumption = resumption
        self._server = server
        self._born = born
        self._seen: Session | None = None

    def shaken(self, engine: TlsEngine, log: Log) -> None:
        """After the handshake: that of TLS 1.2 has brought what can be kept."""
        if not engine.reused:
            if self.session is not None:
                self._resumption.refused()
            self._born = monotonic()
            self.group = engine.group
        elif engine.group != self.group:
            # Not always the same server, or not the same any more: it gets both keys again.
            self.group = None
        if engine.tickets_follow or engine.reused:
            self._seen = engine.session()
        else:
            self.look(engine, log)

    def look(self, engine: TlsEngine, log: Log) -> None:
        """Keep what the server gave since the last look, if it did."""
        if not engine.has_another_session(self._seen):
            return
        self._seen = engine.session()
        if self._seen is not None:
            self._resumption.keep(self._server, self._seen, self._born, self.group, log)

    def leave(self, engine: TlsEngine, log: Log) -> None:
        """At the connection's end: a last look."""
        self.look(engine, log)
        if not engine.has_said_farewell:
            self._resumption.let_go(self._server)
