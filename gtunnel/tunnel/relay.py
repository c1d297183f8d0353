"""The relay: bytes both ways between two legs until both directions have ended. The hot path.

One greenlet drives two flows. A flow receives into the worker's scratch buffer and sends from it at once; only what
the sink did not take is kept (`held`), and while it is, nothing more is received. So a connection keeps at most one
buffer per direction, and a slow reader slows its writer down through TCP.

When a flow's source ends in order, the sink is told (`finish`: FIN or close_notify) and the other flow goes on: that
is the half-close. As in stunnel, a connection that is open both ways may be silent for TIMEOUTidle, one that is half
closed for TIMEOUTclose. Any failure ends both flows; who learns of it, and how, the connection's spine decides.

Where nothing has moved for `CALM_SECONDS`, `run` may leave the connection to the loop and return: most connections of a
busy gateway say nothing most of the time, and a greenlet that waits has a stack.
"""

import contextlib
from collections.abc import Callable
from typing import Final

from gtunnel.conf.settings import Timeouts
from gtunnel.errors import GtunnelError
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.legs import Leg, Scratch
from gtunnel.net.waiting import Wakeup

# Four mebibytes: about what a kernel's receive buffer holds.
MAX_SALVAGED_BUFFERS: Final = 32
# Longer than between the requests of somebody who is at it; a greenlet costs some microseconds.
CALM_SECONDS: Final = 1.0
# What may be moved without a greenlet: then the connection is busy again, and its buffers may have grown.
CALM_BYTES: Final = 1 << 14

_NOTHING: Final = memoryview(b"")


class Flow:
    """One direction. `count` is the bytes that the sink took; `on_first` is called once, when the source has spoken."""

    __slots__ = ("_calm_until", "buffer", "count", "ended", "finished", "held", "on_first", "sink", "source")

    def __init__(self, source: Leg, sink: Leg) -> None:
        self.source = source
        self.sink = sink
        self.buffer = _NOTHING  # the worker's
        self.count = 0
        self._calm_until = 0
        self.held = b""
        self.on_first: Callable[[], None] | None = None
        self.ended = False  # the source has ended
        self.finished = False  # the sink was told

    def pump(self, scratch: memoryview) -> bool:
        """Move what can be moved without waiting, one buffer at most.

        True when nothing is in the way: all that came was taken, and the source has not ended.
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

    def pass_on(self) -> bool:
        """`pump` where nothing is held, blocked or ended: what nearly all messages go through. False when that is no
        longer so, or when the source has something to look at that no watch tells of.

        Also where its source has never spoken: its first word is left for `pump`.
        """
        if self.on_first is not None:
            return False
        source, sink, buffer = self.source, self.sink, self.buffer
        received = source.receive(buffer)
        if received:
            taken = sink.send(buffer[:received])
            self.count += taken
            if taken < received:
                self.held = bytes(buffer[taken:received])
                return False
        elif received == 0:
            self.ended = True
            return False
        # A leg that has received may have something to say of its own (a TLS alert, a key update). Whatever the kernel
        # still has is told in the loop's next turn, after the others had theirs.
        return not (sink.blocked or source.pending or source.blocked)

    def calmly(self) -> Callable[[], bool]:
        """`pass_on` until `CALM_BYTES` were moved."""
        self._calm_until = self.count + CALM_BYTES
        return self._pass_on_calmly

    def _pass_on_calmly(self) -> bool:
        return self.pass_on() and self.count < self._calm_until

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


class Relay:
    """Two flows between two legs."""

    __slots__ = ("_buffer", "_one", "_other", "back", "forth")

    def __init__(self, one: Leg, other: Leg) -> None:
        """`forth` is from `one` to `other`. The legs stay the caller's to close."""
        self.forth = Flow(one, other)
        self.back = Flow(other, one)
        self._one = one
        self._other = other
        self._buffer = _NOTHING

    def ended(self, leg: Leg | None) -> bool:
        """Whether a leg has ended what it sends."""
        return any(flow.ended for flow in (self.forth, self.back) if flow.source is leg)

    def run(
        self, scratch: Scratch, wakeup: Wakeup, timeouts: Timeouts, resume: Callable[[], None] | None = None
    ) -> bool | None:
        """Relay until both directions have ended: True, or TIMEOUTclose passed: False.

        With `resume`, None where nothing has moved for a while: the loop goes on alone, and calls `resume` (see
        `Wakeup.leave`) when there is need of a greenlet again, for `take_up` and then `run`.

        Raises `WaitTimeoutError` for TIMEOUTidle and whatever a leg raises.
        """
        self._buffer = scratch.plain
        self.forth.buffer = self.back.buffer = self._buffer
        may_leave = resume is not None and timeouts.idle > CALM_SECONDS
        while True:
            try:
                easy = self._pump()
                # They may be others now (`takeover`).
                forth, back, one, other = self.forth, self.back, self._one, self._other
                if easy:
                    one.want(receive=True, send=False)
                    other.want(receive=True, send=False)
                    one.watch.react, other.watch.react = forth.pass_on, back.pass_on
                    came = wakeup.attend(CALM_SECONDS if may_leave else timeouts.idle)
            except GtunnelError:
                self._salvage()
                raise
            if easy and not came and resume is not None and may_leave:
                one.shrink()
                other.shrink()
                one.watch.react, other.watch.react = forth.calmly(), back.calmly()
                wakeup.leave(timeouts.idle - CALM_SECONDS, resume)
                return None
            if not easy:
                if forth.done and back.done:
                    return True
                from_one, from_other = forth.receives, back.receives
                if (from_one and one.watch.readable) or (from_other and other.watch.readable):
                    wakeup.rest()
                    continue
                one.want(receive=from_one, send=back.sends)
                other.want(receive=from_other, send=forth.sends)
                came = wakeup.wait(timeouts.idle if self._is_awaited() else timeouts.close)
            if not came:
                if self._is_awaited():
                    raise _idle()
                return False

    def take_up(self, wakeup: Wakeup) -> None:
        """What has become of a relay that was left to the loop, before it is `run` again. Raises as that does."""
        try:
            came = wakeup.outcome()
        except GtunnelError:
            self._salvage()
            raise
        if not came:
            raise _idle()

    def _salvage(self) -> None:
        self.forth.salvage(self._buffer)
        self.back.salvage(self._buffer)

    def _pump(self) -> bool:
        """Move what can be moved. True if nothing is in the way of either flow, and the watches tell what comes."""
        easy = self.forth.pump(self._buffer)
        return self.back.pump(self._buffer) and easy and self._is_quiet()

    def _is_quiet(self) -> bool:
        """Whether no leg has anything that only a receive or a flush tells of."""
        one, other = self._one, self._other
        return not (one.pending or other.pending or one.blocked or other.blocked)

    def _is_awaited(self) -> bool:
        """Whether TIMEOUTidle counts: the connection is open both ways, or there is something left to send."""
        forth, back = self.forth, self.back
        return not (forth.ended or back.ended) or forth.sends or back.sends


def _idle() -> WaitTimeoutError:
    return WaitTimeoutError(waiting="transfer", option="TIMEOUTidle", consequence="sending reset")
