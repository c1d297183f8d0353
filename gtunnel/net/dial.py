"""Connecting to a target: one after the other until one answers, each within TIMEOUTconnect."""

import errno
import socket
from collections.abc import Iterable
from time import monotonic
from typing import Final

from gtunnel.address import ClientAddress, SocketAddress, UnixPath, from_sockaddr, numeric
from gtunnel.events import Level, Log
from gtunnel.net import sockopts
from gtunnel.net.errors import NoTargetError, OriginError, SocketError
from gtunnel.net.legs import PlainLeg
from gtunnel.net.loops import LoopGuard
from gtunnel.net.names import Target
from gtunnel.net.outgoing import Outgoing
from gtunnel.net.waiting import Wakeup
from gtunnel.values import dataclass

# A full backlog of a Unix socket (EAGAIN) or a full descriptor table is worth another try after this many seconds.
RETRY_SECONDS: Final = 0.05
_TRY_AGAIN: Final = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PORT_TAKEN: Final = (errno.EADDRNOTAVAIL, errno.EADDRINUSE)


@dataclass(slots=True)
class Dialled:
    """A connected leg, and whom it is connected to. `noted` is what the loop guard was told."""

    leg: PlainLeg
    target: Target
    noted: SocketAddress | None = None

    @property
    def local(self) -> SocketAddress | None:
        """Our own address there, as long as the leg is open (few ask for it); None for Unix sockets."""
        return from_sockaddr(self.leg.sock.getsockname())


def dial(
    settings: Outgoing, targets: Iterable[Target], client: ClientAddress | None, wakeup: Wakeup, log: Log
) -> Dialled:
    """Connect to the first target that answers; the leg is the caller's. Raises `NoTargetError`."""
    number = errno.EHOSTUNREACH
    for target in targets:
        if log.threshold >= Level.INFO:
            log.write(Level.INFO, f"s_connect: connecting {target}")
        attempt = _Attempt(settings, target, client, wakeup)
        try:
            dialled = attempt.run()
        except (SocketError, OriginError) as error:
            log.write(Level.ERR, f"s_connect: {error}")
            number = error.number if isinstance(error, SocketError) and error.number else number
            continue
        if log.threshold >= Level.NOTICE:
            log.write(Level.NOTICE, f"s_connect: connected {target}")
        sockopts.apply(dialled.leg.sock, settings.options, "remote", log)
        return dialled
    raise NoTargetError(number)


class _Attempt:
    """Connecting to one target, again while the kernel lacks something that may come back."""

    def __init__(
        self, settings: Outgoing, target: Target, client: ClientAddress | None, wakeup: Wakeup
    ) -> None:
        self._settings = settings
        self._strategy = settings.strategy
        self._target = target
        self._address = target.address
        self._client = client
        self._wakeup = wakeup
        self._deadline = monotonic() + settings.seconds

    def run(self) -> Dialled:
        while True:
            try:
                return self._connect()
            except OSError as error:
                self._prepare_again(error)

    def _prepare_again(self, error: OSError) -> None:
        """Change something or wait, so that another try makes sense; otherwise raise `SocketError`."""
        fallback = self._strategy.fallback()
        if error.errno in _PORT_TAKEN and fallback is not None:
            self._strategy = fallback
        elif error.errno in _TRY_AGAIN and monotonic() < self._deadline:
            self._wakeup.wait(RETRY_SECONDS)
        else:
            raise SocketError.of(f"connect {self._target}", error) from error

    def _connect(self) -> Dialled:
        """One try. Raises `OSError` as the kernel gave it, `SocketError` for what no other try would mend."""
        settings, address = self._settings, self._address
        sock = socket.socket(socket.AF_UNIX if isinstance(address, UnixPath) else address.family, socket.SOCK_STREAM)
        leg: PlainLeg | None = None
        noted: SocketAddress | None = None
        try:
            sock.setblocking(False)
            if settings.particular and not isinstance(address, UnixPath):
                self._prepare(sock)
            result = sock.connect_ex(address.path if isinstance(address, UnixPath) else address.sockaddr)
            if settings.loops is not None:
                # Before the other side can have accepted: a loop must find it.
                noted = self._note(sock, settings.loops)
            leg = PlainLeg(sock, self._wakeup)
            # One to this machine is made, or refused, by the time that the kernel says that it has begun.
            if result == errno.EINPROGRESS:
                result = 0 if _is_connected(sock) else self._finish(leg)
            if result != 0:
                raise OSError(result, "connect")  # noqa: TRY301 - told apart from other failures by the caller
            # Hardly anybody has said something as soon as that. Who has is heard in the loop's next turn.
            leg.watch.readable = False
        except BaseException:
            self._forget(noted)
            if leg is None:
                sock.close()
            else:
                leg.close(reset=False)
            raise
        return Dialled(leg, self._target, noted)

    def _prepare(self, sock: socket.socket) -> None:
        settings = self._settings
        if settings.mark:
            sockopts.set_mark(sock, settings.mark)
        if not self._strategy.prepare_outgoing(sock, self._client) and settings.local is not None:
            _bind_local(sock, settings.local)

    def _note(self, sock: socket.socket, loops: LoopGuard) -> SocketAddress | None:
        if isinstance(self._address, UnixPath):
            return None
        local = from_sockaddr(sock.getsockname())
        if local is not None:
            loops.note(local, self._address)
        return local

    def _forget(self, noted: SocketAddress | None) -> None:
        """A client that comes from the same port later (`transparent = both`: its own) is no loop."""
        if self._settings.loops is not None and noted is not None and isinstance(self._address, SocketAddress):
            self._settings.loops.forget(noted, self._address)

    def _finish(self, leg: PlainLeg) -> int:
        """Wait until a started connect has ended; its errno, or 0."""
        while True:
            leg.want(receive=False, send=True)
            in_time = self._wakeup.wait(self._deadline - monotonic())
            result = leg.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if result != 0:
                return result
            if _is_connected(leg.sock):
                leg.want(receive=False, send=False)
                return 0
            if not in_time:
                error = SocketError(operation=f"s_poll_wait {self._target}", reason="TIMEOUTconnect exceeded")
                error.number = errno.ETIMEDOUT
                raise error


def _bind_local(sock: socket.socket, local: str) -> None:
    address = numeric(local, 0)
    if address is None or address.family != sock.family:
        raise SocketError(operation=f"local = {local}", reason="not an address of the target's family")
    # The kernel chooses the port at connect, so that one port serves several destinations.
    sock.setsockopt(socket.SOL_IP, sockopts.IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        sock.bind(address.sockaddr)
    except OSError as error:
        raise SocketError.of(f"bind {local}", error) from error


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
