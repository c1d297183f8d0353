"""Making one connection and watching it on its way. Works in the process that has the wires."""

import time
from collections.abc import Callable, Iterator

from netsetup.doctor.owners import owners
from netsetup.doctor.packet import Truth
from netsetup.doctor.probe.attempts import Attempt
from netsetup.doctor.probe.counters import count
from netsetup.doctor.probe.hops import Hop
from netsetup.doctor.probe.talk import Client, Server
from netsetup.doctor.probe.wires import Wires
from netsetup.kernel.sockdiag import ESTABLISHED, LISTEN, TcpSocket, join, tcp_sockets

_PATIENCE = 4.0
"""Seconds for each hop: a lost SYN is sent again after one and after three (RFC 6298)."""

_QUIET = 1.5
"""Seconds after which a proxy that has not connected anywhere is spoken TLS to: it may be waiting for that."""

_GRACE = 0.5
"""Seconds for the proxy to begin TLS with the probe's server, if that is what it does."""

_PAUSE = 0.03


class Journey:
    """One connection's way. `hops` ends with the first that is not surely passed."""

    def __init__(self, attempt: Attempt, wires: Wires) -> None:
        self._attempt = attempt
        self._wires = wires
        self._before = {_name(one) for one in tcp_sockets()}
        where = attempt.family, attempt.source, attempt.destination, attempt.port
        self._client = wires.client.call(wires.home, lambda: Client(*where))
        self._server: Server | None = None
        if attempt.own_server:
            there = attempt.family, attempt.destination, attempt.port
            self._server = wires.server.call(wires.home, lambda: Server(*there))
        self._counted = count(attempt.instance, attempt.family)
        self._pids: set[int] = set()

    def hops(self) -> Iterator[Hop]:
        """Connect, and tell what is seen."""
        try:
            for stage in (self._sent, self._captured, self._accepted, self._connected, self._answered, self._returned):
                hop = stage()
                yield hop
                if hop.state is not Truth.YES:
                    return
        finally:
            self._client.close()
            if self._server is not None:
                self._server.close()

    def _until(self, condition: Callable[[], object], seconds: float | None = None) -> bool:
        """Let both ends do what they do until the condition holds; whether it did."""
        end = time.monotonic() + (_PATIENCE if seconds is None else seconds)
        while True:
            self._client.turn()
            if self._server is not None:
                self._server.turn()
            if condition():
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)

    def _sent(self) -> Hop:
        self._client.begin()
        sent = self._until(lambda: self._wires.packets_sent() > 0)
        text = f"the client's SYN was handed to {self._attempt.iif}" if sent else "no packet left the probe's client"
        return Hop(name="sent", state=Truth.YES if sent else Truth.UNKNOWN, text=text)

    def _captured(self) -> Hop:
        attempt = self._attempt
        self._until(lambda: self._client.connected() or self._client.ended or self._went_by())
        if self._went_by():
            text = f"it went past the proxy, straight to {join(attempt.destination, attempt.port)}"
            return Hop(name="captured", state=Truth.NO, text=text)
        found = self._of_client()
        if found is not None:
            return Hop(name="captured", state=Truth.YES, text=f"a socket of this machine has it, at {found.local}")
        if self._client.ended:
            text = f"{self._client.ended}: the SYN was answered by RST; nobody listens where it was handed to"
            return Hop(name="captured", state=Truth.NO, text=text)
        if self._client.connected():
            text = "somebody else answered: no socket of this machine has the connection"
            return Hop(name="captured", state=Truth.NO, text=text)
        text = f"nobody answered within {_PATIENCE:.0f} seconds; {self._as_counted()}"
        return Hop(name="captured", state=Truth.NO, text=text)

    def _as_counted(self) -> str:
        seen = count(self._attempt.instance, self._attempt.family) - self._counted
        if seen.dropped > 0:
            return "rules of ours dropped packets meanwhile, which they do when nobody listens (captureFailClosed)"
        if seen.taken > 0:
            return "our rules took packets meanwhile: what comes behind them drops it (INPUT), or nobody listens"
        return "our rules have seen nothing: it was dropped, or taken elsewhere, before them"

    def _went_by(self) -> bool:
        client = (self._attempt.source, self._client.port)
        return self._server is not None and client in self._server.peers and self._of_client() is None

    def _of_client(self) -> TcpSocket | None:
        """This machine's end of the client's connection."""
        for one in tcp_sockets():
            if one.state != LISTEN and (one.peer, one.peer_port) == (self._attempt.source, self._client.port):
                return one
        return None

    def _accepted(self) -> Hop:
        self._until(lambda: (found := self._of_client()) is None or found.inode)
        found = self._of_client()
        if found is None:
            text = f"the connection was ended at once ({self._client.ended or 'closed'}): see the proxy's log"
            return Hop(name="accepted", state=Truth.NO, text=text)
        if not found.inode:
            text = "it waits in the listener's queue: the process does not accept (hangs, or has too many connections)"
            return Hop(name="accepted", state=Truth.NO, text=text)
        who = owners([found.inode]).get(found.inode, ())
        self._pids = {owner.pid for owner in who}
        return Hop(name="accepted", state=Truth.YES, text=f"by {', '.join(map(str, who)) or 'an unknown process'}")

    def _onward(self, *, expected: bool = True) -> TcpSocket | None:
        """The proxy's own connection: new, not the client's, and to where it is meant to go."""
        attempt = self._attempt
        wanted = set(attempt.targets) or {(attempt.destination, attempt.port)}
        inodes = None if expected else {one.inode for one in tcp_sockets()}
        for one in tcp_sockets():
            if one.state == LISTEN or _name(one) in self._before or one.peer == attempt.source:
                continue
            if expected and (one.peer, one.peer_port) in wanted and (attempt.own_server or self._is_proxys(one)):
                return one
            if inodes is not None and one.host != one.peer and self._is_proxys(one):
                return one
        return None

    def _is_proxys(self, one: TcpSocket) -> bool:
        return any(owner.pid in self._pids for owner in owners([one.inode]).get(one.inode, ()))

    def _connected(self) -> Hop:
        self._until(lambda: self._onward() or self._client.ended, _QUIET)
        if self._onward() is None and not self._client.ended:
            self._client.speak_tls()
            self._until(lambda: self._onward() or self._client.ended)
        found = self._onward()
        tls = " (after TLS with the client)" if self._client.speaks_tls else ""
        if found is None:
            return self._not_connected()
        if self._attempt.keeps_source and found.host != self._attempt.source:
            text = f"from {found.local} to {found.remote}{tls}: not from the client's address {self._attempt.source}"
            return Hop(name="connected", state=Truth.NO, text=text)
        return Hop(name="connected", state=Truth.YES, text=f"from {found.local} to {found.remote}{tls}")

    def _not_connected(self) -> Hop:
        other = self._onward(expected=False)
        if other is not None:
            text = f"it connected to {other.remote}, for this client perhaps; that is not where the client was going"
            return Hop(name="connected", state=Truth.UNKNOWN, text=text)
        if self._client.ended and not self._client.speaks_tls:
            text = f"the proxy ended the connection without connecting anywhere ({self._client.ended}): see its log"
            return Hop(name="connected", state=Truth.NO, text=text)
        text = "the proxy has not connected anywhere: it waits for something that the probe does not say (a client's "
        text += "certificate, a protocol's words); see its log"
        return Hop(name="connected", state=Truth.UNKNOWN, text=text)

    def _answered(self) -> Hop:
        def settled() -> bool:
            found = self._onward()
            return found is None or found.state == ESTABLISHED

        self._until(lambda: settled() or (self._server is not None and self._server.peers))
        found = self._onward()
        if self._server is not None and self._server.peers and (found is None or found.state == ESTABLISHED):
            peer = join(*self._server.peers[0])
            return Hop(name="answered", state=Truth.YES, text=f"the probe's server saw {peer} and answered")
        if found is not None and found.state == ESTABLISHED:
            return Hop(name="answered", state=Truth.YES, text=f"{found.remote} answered")
        if found is None:
            text = "the connection to the server ended at once: refused there, or see the proxy's log"
            return Hop(name="answered", state=Truth.UNKNOWN, text=text)
        text = f"no answer from {found.remote} within {_PATIENCE:.0f} seconds"
        if self._server is not None and self._server.peers:
            text += ": it has answered, and the answer did not reach the proxy"
        elif self._attempt.keeps_source:
            text += f": it is down, or its answers to {found.host} do not come through this machine"
        return Hop(name="answered", state=Truth.NO, text=text)

    def _returned(self) -> Hop:
        asked = self._server
        if asked is not None:
            self._until(lambda: asked.received or self._client.ended, _GRACE)
            if not asked.was_asked_for_tls:
                asked.greet()
        if asked is None or not asked.was_asked_for_tls:
            patience = _QUIET if asked is None else _PATIENCE
            self._until(lambda: self._client.received or self._client.ended, patience)
        if self._client.received:
            return Hop(name="returned", state=Truth.YES, text="the client got the server's bytes")
        if asked is not None and asked.was_asked_for_tls:
            text = "the proxy speaks TLS to the server, as it should; the probe's server does not, so nothing came back"
            return Hop(name="returned", state=Truth.UNKNOWN, text=text)
        ended = f" (the connection ended: {self._client.ended})" if self._client.ended else ""
        text = f"no bytes came for the client{ended}; many servers wait for a request first"
        return Hop(name="returned", state=Truth.UNKNOWN, text=text)


def _name(one: TcpSocket) -> tuple[str, int, str, int]:
    return one.host, one.port, one.peer, one.peer_port
