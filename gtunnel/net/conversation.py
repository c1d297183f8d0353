"""Talking with one peer before the relay: a protocol's messages over a leg, plain or TLS, within TIMEOUTbusy each."""

from time import monotonic
from typing import Final

from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.legs import Leg, Scratch
from gtunnel.net.waiting import Wakeup
from gtunnel.wire.inbox import Inbox
from gtunnel.wire.steps import MAX_MESSAGE, Receive, ReceiveLine, Send, Side

# What is shown of a message in the log.
_SHOWN_BYTES: Final = 500


class UnexpectedCloseError(GtunnelError):
    """A peer that ended the connection where the protocol waits for it to say something."""

    template = "Unexpected socket close (the {side} closed the connection in the negotiation)"


class Conversation:
    """What is said with one side. Uses the connection's leg; does not own it."""

    def __init__(self, side: Side, scratch: Scratch, wakeup: Wakeup, seconds: float) -> None:
        """`seconds`: TIMEOUTbusy, for each message as a whole, however its bytes come."""
        self._side = side
        self._buffer = scratch.plain[:MAX_MESSAGE]
        self._wakeup = wakeup
        self._seconds = seconds
        self._inbox = Inbox()

    def receive(self, leg: Leg, step: Receive | ReceiveLine, log: Log) -> bytes:
        """Wait for a message. Raises `MessageError`, `UnexpectedCloseError`, `WaitTimeoutError` and what a leg does."""
        deadline = monotonic() + self._seconds
        while (message := self._inbox.take(step)) is None:
            self._fill(leg, deadline)
        leg.want(receive=False, send=False)
        if isinstance(step, ReceiveLine):
            found = None if step.shown is None else step.shown.match(message)
            shown = message if step.shown is None else b"" if found is None else found[0]
            self._tell("<-", shown if len(shown) == len(message) else shown + b" ...", secret=step.secret, log=log)
        return message

    def send(self, leg: Leg, step: Send, log: Log) -> None:
        """Send a message, all of it. Raises `WaitTimeoutError` and what a leg does."""
        if not step.binary:
            self._tell("->", step.shown or step.data, secret=step.secret and not step.shown, log=log)
        deadline = monotonic() + self._seconds
        left = memoryview(step.data)
        while left or leg.blocked:
            if leg.blocked and not leg.flush():
                self._wait(leg, deadline, receive=False)
                continue
            left = left[leg.send(left) :]
            if leg.blocked:
                self._wait(leg, deadline, receive=False)
        leg.want(receive=False, send=False)

    def glance(self, leg: Leg) -> bytes:
        """What has come and was not taken yet. Raises `UnexpectedCloseError` and what a leg does."""
        count = leg.receive(self._buffer) if leg.watch.readable and not len(self._inbox) else None
        if count == 0:
            raise UnexpectedCloseError(side=self._side.value)
        if count is not None:
            self._inbox.feed(self._buffer[:count])
        return self._inbox.waiting

    def take_rest(self) -> bytes:
        """What the peer has sent beyond the last message: for whoever goes on with the leg."""
        return self._inbox.take_rest()

    def _fill(self, leg: Leg, deadline: float) -> None:
        count = leg.receive(self._buffer) if leg.watch.readable else None
        if count is None:
            self._wait(leg, deadline, receive=True)
        elif not count:
            raise UnexpectedCloseError(side=self._side.value)
        else:
            self._inbox.feed(self._buffer[:count])

    def _wait(self, leg: Leg, deadline: float, *, receive: bool) -> None:
        leg.want(receive=receive, send=leg.blocked)
        left = deadline - monotonic()
        if left <= 0 or not self._wakeup.wait(left):
            raise WaitTimeoutError(
                waiting=f"negotiation with the {self._side.value}", option="TIMEOUTbusy", consequence="sending reset"
            )
        if leg.blocked:
            leg.flush()

    def _tell(self, direction: str, message: bytes, *, secret: bool, log: Log) -> None:
        if log.threshold >= Level.DEBUG:
            text = "(secret)" if secret else message[:_SHOWN_BYTES].decode("latin-1").rstrip("\r\n")
            for line in text.split("\r\n"):
                log.write(Level.DEBUG, f" {direction} {line}")
