"""The relay: bytes both ways between two legs until both directions have ended. The hot path.

One greenlet drives two flows. A flow receives into the worker's scratch buffer and sends from it at once; only what
the sink did not take is kept (`held`), and while it is, nothing more is received. So a connection keeps at most one
buffer per direction, and a slow reader slows its writer down through TCP.

When a flow's source ends in order, the sink is told (`finish`: FIN or close_notify) and the other flow goes on: that
is the half-close. As in stunnel, a connection that is open both ways may be silent for TIMEOUTidle, one that is half
closed for TIMEOUTclose. Any failure ends both flows; who learns of it, and how, the connection's spine decides.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gtunnel.conf.settings import Timeouts
from gtunnel.errors import GtunnelError
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.legs import Leg, Scratch
from gtunnel.net.waiting import READ, Wakeup

# Four mebibytes: about what a kernel's receive buffer holds.
MAX_SALVAGED_BUFFERS: Final = 64


class Flow:
    """One direction. `count` is the bytes that the sink took; `on_first` is called once, when the source has spoken."""

    __slots__ = ("count", "ended", "finished", "held", "on_first", "sink", "source")

    def __init__(self, source: Leg, sink: Leg) -> None:
        self.source = source
        self.sink = sink
        self.count = 0
        self.held = b""
        self.on_first: Callable[[], None] | None = None
        self.ended = False  # the source has ended
        self.finished = False  # the sink was told

    def pump(self, scratch: memoryview) -> bool:
        """Move what can be moved without waiting, one buffer at most.

        True when nothing is in the way: all that came was taken, and the source has not ended. Then there is nothing
        to do before the source is readable again.
        """
        sink = self.sink
        if sink.blocked and not sink.flush():
            return False
        if self.held:
            taken = sink.send(memoryview(self.held))
            self.count += taken
            self.held = self.held[taken:]
            if self.held or sink.blocked:
                return False
        if not self.ended and self.source.watch.readable:
            received = self.source.receive(scratch)
            if received:
                if self.on_first is not None:
                    called, self.on_first = self.on_first, None
                    called()
                taken = sink.send(scratch[:received])
                self.count += taken
                if taken < received:
                    self.held = bytes(scratch[taken:received])
            elif received == 0:
                self.ended = True
        if self.ended and not self.held and not self.finished:
            sink.finish()
            self.finished = True
        return not (self.ended or self.held or sink.blocked)

    def salvage(self, scratch: memoryview) -> None:
        """After a failure: pass on what has come already, as far as the sink takes it at once. Raises nothing.

        A server that answers early and closes resets our next write to it; its answer is here all the same. The sink is
        not told of an end: after a failure nobody knows whether that was all.
        """
        with contextlib.suppress(GtunnelError):
            for _ in range(MAX_SALVAGED_BUFFERS):
                if self.held or (self.sink.blocked and not self.sink.flush()):
                    return
                received = self.source.receive(scratch)
                if not received:
                    return
                taken = self.sink.send(scratch[:received])
                self.count += taken
                if taken < received:
                    return

    @property
    def receives(self) -> bool:
        """Whether it waits for its source."""
        return not self.ended and not self.held and not self.sink.blocked

    @property
    def sends(self) -> bool:
        """Whether it waits for its sink."""
        return bool(self.held) or self.sink.blocked

    @property
    def done(self) -> bool:
        """Whether all was sent and the sink was told."""
        return self.finished and not self.sink.blocked


@dataclass(frozen=True, slots=True)
class Relay:
    """Two flows between two legs."""

    forth: Flow
    back: Flow

    @staticmethod
    def between(one: Leg, other: Leg) -> "Relay":
        """`forth` is from `one` to `other`. The legs stay the caller's to close."""
        return Relay(Flow(one, other), Flow(other, one))

    def ended(self, leg: Leg | None) -> bool:
        """Whether a leg has ended what it sends."""
        return any(flow.ended for flow in (self.forth, self.back) if flow.source is leg)

    def run(self, scratch: Scratch, wakeup: Wakeup, timeouts: Timeouts) -> bool:
        """Relay until both directions have ended: True, or TIMEOUTclose passed: False.

        Raises `WaitTimeoutError` for TIMEOUTidle and whatever a leg raises.
        """
        forth, back, buffer, idle = self.forth, self.back, scratch.plain, timeouts.idle
        one, other = forth.source, forth.sink
        of_one, of_other = one.watch, other.watch
        # Whether nothing is in the way of either flow: then only what is readable needs looking at. The usual case.
        easy = False
        while True:
            try:
                if not easy or of_one.readable:
                    easy = forth.pump(buffer)
                # What `one` has received may make it say something (a TLS alert, a key update): that is flushed, too.
                if not easy or of_other.readable or one.blocked:
                    easy = back.pump(buffer) and easy
            except GtunnelError:
                forth.salvage(buffer)
                back.salvage(buffer)
                raise
            if easy and not (one.blocked or other.blocked):
                if of_one.readable or of_other.readable:
                    wakeup.rest()
                    continue
                if of_one.armed != READ:
                    of_one.want(READ)
                if of_other.armed != READ:
                    of_other.want(READ)
                if wakeup.wait(idle):
                    continue
                raise _idle()
            easy = False
            if forth.done and back.done:
                return True
            if (forth.receives and of_one.readable) or (back.receives and of_other.readable):
                wakeup.rest()
                continue
            one.want(receive=forth.receives, send=back.sends)
            other.want(receive=back.receives, send=forth.sends)
            open_both_ways = not (forth.ended or back.ended)
            if open_both_ways or forth.sends or back.sends:
                if not wakeup.wait(idle):
                    raise _idle()
            elif not wakeup.wait(timeouts.close):
                return False


def _idle() -> WaitTimeoutError:
    return WaitTimeoutError(waiting="transfer", option="TIMEOUTidle", consequence="sending reset")
