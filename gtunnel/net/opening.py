"""What a TLS client says before we have to answer: read off the socket, and kept for OpenSSL.

Port scanners and the health checks of load balancers connect and leave without a word. They are told from clients here,
so that they do not fill the log.
"""

from time import monotonic

from gtunnel.errors import GtunnelError
from gtunnel.events import Level
from gtunnel.net.errors import SocketError, WaitTimeoutError
from gtunnel.net.legs import PlainLeg, Scratch
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.hello import HelloReader, NotAHelloError


class SilentClientError(GtunnelError):
    """A client that left before it said anything."""

    template = "The client left without a word: {how}"
    level = Level.DEBUG


def receive(leg: PlainLeg, wakeup: Wakeup, scratch: Scratch, seconds: float, began: bytes = b"") -> HelloReader:
    """Wait until a client has said its ClientHello, or something else, or no more. The socket stays the leg's.

    `began` is what it has said of it already. Raises `SilentClientError`, `SocketError`, `WaitTimeoutError`.
    """
    deadline = monotonic() + seconds
    reader = HelloReader()
    try:
        enough = bool(began) and reader.feed(began)
        while not enough:
            try:
                count = leg.receive(scratch.cipher)
            except SocketError as error:
                if reader.received:
                    raise
                raise SilentClientError(how=error) from error
            if count is None:
                leg.want(receive=True, send=False)
                left = deadline - monotonic()
                if left <= 0 or not wakeup.wait(left):
                    raise WaitTimeoutError(waiting="ssl_start", option="TIMEOUTbusy", consequence="sending reset")
            elif not count and not reader.received:
                raise SilentClientError(how="the connection was closed")
            else:
                enough = not count or reader.feed(scratch.cipher[:count])
    except NotAHelloError:
        # OpenSSL says what is wrong with it.
        pass
    if leg.watch.armed:
        leg.want(receive=False, send=False)
    return reader
