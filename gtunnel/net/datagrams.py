"""SOCKS' UDP ASSOCIATE (RFC 1928, section 7): datagrams of one client, as long as its TCP connection lives.

Two sockets: clients talk with `inner`, which has the address that they were told; targets with one for each family.
Datagrams count only if they come from the client's address, and from targets that the client has sent something to.
There are no fragments, and no queues but the kernel's: what cannot be sent on is lost, as UDP may.
"""

import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from gtunnel.address import ClientAddress, HostPort, SocketAddress, from_sockaddr
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import resolver
from gtunnel.net.errors import OwnAddressError, WaitTimeoutError, errno_text
from gtunnel.net.legs import Leg
from gtunnel.net.waiting import READ, Wakeup, Watch
from gtunnel.wire import socksdatagram

# UDP's length field has 16 bits.
MAX_DATAGRAM: Final = 65535
# Whom a client has sent something to, and what names it has asked for: the ones not used for longest are forgotten.
MAX_TARGETS: Final = 1024
MAX_NAMES: Final = 256
# How long the answer to a name counts: addresses change, and name servers come back.
NAME_SECONDS: Final = 60.0
# Datagrams that are moved before others get a turn.
_BURST: Final = 32

Admit = Callable[[HostPort, tuple[SocketAddress, ...]], tuple[SocketAddress, ...]]


class DatagramRelay:
    """The datagrams of one association. Owns its sockets: `close` it."""

    def __init__(self, host: str, client: ClientAddress, admit: Admit, wakeup: Wakeup) -> None:
        """`host` is our address towards clients; `admit` gives those of a target's addresses that may be reached, or
        raises. Raises `OwnAddressError`."""
        self._client = client
        self._from: SocketAddress | None = None
        self._admit = admit
        self._wakeup = wakeup
        self._known: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._names: OrderedDict[HostPort, tuple[SocketAddress | None, float]] = OrderedDict()
        self._watches: dict[int, Watch] = {}
        self._outer: dict[socket.AddressFamily, socket.socket] = {}
        self._inner = self._socket(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        self._moved = 0.0
        self.sent = self.received = 0

    @property
    def address(self) -> SocketAddress | None:
        """Where the client has to send its datagrams."""
        return from_sockaddr(self._inner.getsockname())

    def run(self, leg: Leg, seconds: float, log: Log) -> None:
        """Relay until the client ends its TCP connection. `seconds` without any datagram are too many (TIMEOUTidle).

        Raises `WaitTimeoutError` and what the leg does.
        """
        word = memoryview(bytearray(1024))
        self._moved = monotonic()
        while True:
            more = any([self._take_client(log), *(self._take_target(sock) for sock in tuple(self._outer.values()))])
            if leg.watch.readable and leg.receive(word) == 0:
                return
            if more or leg.watch.readable:
                self._wakeup.rest()
                continue
            leg.want(receive=True, send=False)
            for watch in self._watches.values():
                watch.want(READ)
            # Strangers' datagrams wake us as well, and keep nothing open.
            left = self._moved + seconds - monotonic()
            if left <= 0 or not self._wakeup.wait(left):
                raise WaitTimeoutError(waiting="datagrams", option="TIMEOUTidle", consequence="sending reset")

    def close(self) -> None:
        """Give the sockets back."""
        for sock in (self._inner, *self._outer.values()):
            watch = self._watches.pop(sock.fileno(), None)
            if watch is not None:
                self._wakeup.forget(watch)
            sock.close()

    def _socket(self, family: socket.AddressFamily, host: str) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.bind((host, 0))
        except OSError as error:
            sock.close()
            raise OwnAddressError(option="socksUdp", host=host, reason=errno_text(error)) from error
        self._watches[sock.fileno()] = self._wakeup.watch(sock.fileno())
        return sock

    def _receive(self, sock: socket.socket) -> tuple[bytes, SocketAddress] | None:
        try:
            data, name = sock.recvfrom(MAX_DATAGRAM)
        except OSError:
            # Nothing now; or what ICMP says of an earlier datagram, which SOCKS has no word for.
            return None
        address = from_sockaddr(name)
        return None if address is None else (data, address)

    def _take_client(self, log: Log) -> bool:
        for _ in range(_BURST):
            received = self._receive(self._inner)
            if received is None:
                return False
            data, address = received
            if address.host != self._client.host or (self._from is not None and address != self._from):
                continue
            datagram = socksdatagram.unpack(data)
            if datagram is None:
                continue
            # The first port that it speaks from is its own from then on.
            self._from = address
            target = self._find(datagram.target, log)
            if target is not None:
                self._send_out(datagram.payload, target)
        return True

    def _find(self, target: HostPort, log: Log) -> SocketAddress | None:
        """The address that a target may be reached at; None if there is none."""
        known, until = self._names.pop(target, (None, 0.0))
        if monotonic() < until:
            self._names[target] = known, until
            return known
        try:
            literal = target.literal
            found = resolver.lookup(target) if literal is None else (from_sockaddr(literal.sockaddr),)
            address = self._admit(target, tuple(one for one in found if isinstance(one, SocketAddress)))[0]
        except GtunnelError as error:
            # Not as an error: a client could fill the log with a datagram for each line.
            log.write(Level.INFO, str(error))
            address = None
        self._names[target] = address, monotonic() + NAME_SECONDS
        if len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)
        return address

    def _send_out(self, payload: bytes, target: SocketAddress) -> None:
        if target.family not in self._outer:
            try:
                self._outer[target.family] = self._socket(target.family, "::" if ":" in target.host else "0.0.0.0")  # noqa: S104 - the kernel chooses by the route
            except OwnAddressError:
                return
        key = (target.host, target.port)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > MAX_TARGETS:
            self._known.popitem(last=False)
        with contextlib.suppress(OSError):
            self._moved = monotonic()
            self.sent += self._outer[target.family].sendto(payload, target.sockaddr)

    def _take_target(self, sock: socket.socket) -> bool:
        for _ in range(_BURST):
            received = self._receive(sock)
            if received is None:
                return False
            data, address = received
            if (address.host, address.port) not in self._known or self._from is None:
                continue
            with contextlib.suppress(OSError):
                self._inner.sendto(socksdatagram.pack(address, data), self._from.sockaddr)
                self.received += len(data)
                self._moved = monotonic()
        return True
