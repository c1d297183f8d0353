"""A relay whose TLS leg becomes the kernel's once the connection turns out to be a bulky one (options = ENABLE_KTLS).

The handshake and the first bytes are OpenSSL's: most connections are short, and giving the kernel keys costs more than
it saves on them. Whatever is in the way leaves the connection as it is, and is told once.
"""

from collections.abc import Callable
from typing import Final, TypeGuard

from gtunnel.events import Level, Log
from gtunnel.net.errors import SocketError
from gtunnel.net.kernelleg import HandoverLeg, KernelTlsLeg
from gtunnel.net.legs import Leg, PlainLeg
from gtunnel.tunnel.relay import Flow, Relay
from gtunnel.tunnel.splicing import Pipes, SplicedFlow, SplicedLeg

# What a direction has moved: sixteen full records. Chosen, not measured: a takeover takes four keys from
# HKDF, opens two records and makes four system calls, which has to be little beside what was spent already.
BULKY_BYTES: Final = 1 << 18

# Whether bytes go through pipes then. What measures the gain, and tests with a played kernel, say no.
SPLICES = True

# With the new leg and the old one.
Replace = Callable[[KernelTlsLeg, Leg], None]


class _CountedFlow(Flow):
    """A `Flow` that leads out of the loop, to `KernelRelay._pump`, once it is bulky."""

    __slots__ = ()

    def pass_on(self) -> bool:
        """See `Flow`."""
        return super().pass_on() and self.count < BULKY_BYTES


class KernelRelay(Relay):
    """A `Relay` with a `HandoverLeg` on one side."""

    __slots__ = ("_leg", "_log", "_pipes", "_replace", "_spoilt")

    def __init__(self, one: Leg, other: Leg, replace: Replace, pipes: Pipes, log: Log) -> None:
        """`replace` is called with the leg that takes the place of the one that hands over."""
        super().__init__(one, other)
        self.forth, self.back = _CountedFlow(one, other), _CountedFlow(other, one)
        self._leg: HandoverLeg | None = next((leg for leg in (one, other) if isinstance(leg, HandoverLeg)), None)
        self._replace = replace
        self._spoilt = False
        self._pipes = pipes
        self._log = log

    def _pump(self) -> bool:
        if self._is_due():
            self._hand_over()
        easy = super()._pump()
        # What was read may just have led to a boundary, and the next turn would read on.
        if self._is_due():
            self._hand_over()
        return easy and self._is_quiet()

    def _is_due(self) -> bool:
        return self._leg is not None and max(self.forth.count, self.back.count) >= BULKY_BYTES

    def _hand_over(self) -> None:
        leg = self._leg
        if leg is None:
            return
        try:
            taken, refusal = (None, "an end") if self.forth.ended or self.back.ended else leg.hand_over()
        except SocketError:
            self._spoilt = True
            raise
        if refusal:
            self._leg = None
            leg.keep()
            self._exchange(leg, leg)
            self._log.write(Level.DEBUG, f"TLS stays in user space: {refusal}")
        if taken is None:
            return
        self._leg = None
        self._exchange(leg, taken)
        self._replace(taken, leg)
        self._log.write(Level.INFO, f"TLS is the kernel's from here on, both ways: {taken.cipher}")

    def _salvage(self) -> None:
        # Records of OpenSSL's that the kernel protects once more would be data to the peer.
        if not self._spoilt:
            super()._salvage()

    def _exchange(self, old: Leg, new: Leg) -> None:
        if self._one is old:
            self._one = new
        else:
            self._other = new
        self.forth = self._renewed(self.forth, self._one, self._other)
        self.back = self._renewed(self.back, self._other, self._one)

    def _renewed(self, flow: Flow, source: Leg, sink: Leg) -> Flow:
        """A flow that goes on where another one is."""
        if SPLICES and _can_splice(source) and _can_splice(sink):
            new: Flow = SplicedFlow(source, sink, self._pipes)
        else:
            new = Flow(source, sink)
        new.count, new.held, new.on_first = flow.count, flow.held, flow.on_first
        new.ended, new.finished, new.buffer = flow.ended, flow.finished, flow.buffer
        return new


def _can_splice(leg: Leg) -> TypeGuard[SplicedLeg]:
    # These very classes: to a program's leg, an error is an end.
    return type(leg) in (PlainLeg, KernelTlsLeg)
