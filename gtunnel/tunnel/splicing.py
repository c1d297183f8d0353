"""A flow between two sockets that the kernel can join: bytes go through a pipe (splice(2)) and never come here.

A pipe is borrowed for a turn. What the sink did not take stays in it, and is what `held` is to other flows: nothing
more is received meanwhile. There are few pipes: who gets none, and whatever cannot be spliced (the end of a stream, a
record without data), takes the way of other flows.
"""

import contextlib
import fcntl
import os
from typing import Final

from gtunnel.errors import GtunnelError
from gtunnel.net.errors import SocketError
from gtunnel.net.kernelleg import KernelTlsLeg
from gtunnel.net.legs import SCRATCH_BYTES, PlainLeg
from gtunnel.tunnel.relay import Flow

# For each worker, with two descriptors each: within what `net.limits` reserves. More are wanted only by as many slow
# readers of bulk data at the same time.
MAX_PIPES: Final = 16
# A pipe holds pieces of pages, a slot each. Eight records are 48 of them and more.
_PIPE_BYTES: Final = 1 << 18
_FLAGS: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE

SplicedLeg = PlainLeg | KernelTlsLeg


class Pipe:
    """A pipe of a pool. Owns its descriptors, which go with the object."""

    __slots__ = ("_pool", "kept", "reader", "writer")

    def __init__(self, pool: "Pipes") -> None:
        """Raises `OSError`."""
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._pool = pool
        pool.count += 1
        # Bytes that are in it.
        self.kept = 0
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.count -= 1
        if hasattr(self, "writer"):
            os.close(self.reader)
            os.close(self.writer)


class Pipes:
    """The pipes of a worker."""

    __slots__ = ("_idle", "count")

    def __init__(self) -> None:
        self._idle: list[Pipe] = []
        self.count = 0

    def borrow(self) -> Pipe | None:
        """An empty one; None if all are out, or none can be made."""
        if self._idle:
            return self._idle.pop()
        if self.count >= MAX_PIPES:
            return None
        try:
            return Pipe(self)
        except OSError:
            return None

    def give_back(self, pipe: Pipe) -> None:
        """It is empty again."""
        self._idle.append(pipe)


class SplicedFlow(Flow):
    """See `Flow`."""

    __slots__ = ("_into", "_kept_in", "_out_of", "_pipes", "_spliced_into", "_tls")

    def __init__(self, source: SplicedLeg, sink: SplicedLeg, pipes: Pipes) -> None:
        super().__init__(source, sink)
        self._out_of = source.sock.fileno()
        self._into = sink.sock.fileno()
        self._spliced_into = sink
        self._pipes = pipes
        # TLS gives a record at a time.
        self._tls = source if isinstance(source, KernelTlsLeg) else None
        self._kept_in: Pipe | None = None

    def pump(self, scratch: memoryview) -> bool:
        """See `Flow`."""
        sink = self.sink
        if self._kept_in is not None:
            if (sink.blocked and not sink.flush()) or not self._unload(self._kept_in):
                return False
        elif self.held or self.ended or sink.blocked or self.on_first is not None:
            return super().pump(scratch)
        self.buffer = scratch
        if self.source.watch.readable and not self.pass_on() and self.ended:
            return super().pump(scratch)
        return not (self.held or sink.blocked)

    def pass_on(self) -> bool:
        """See `Flow`."""
        pipe = self._pipes.borrow() if self.on_first is None else None
        if pipe is None:
            return super().pass_on()
        try:
            self._load(pipe)
        except GtunnelError:
            # What came before it is good.
            with contextlib.suppress(SocketError):
                self._unload(pipe)
            raise
        if pipe.kept:
            return self._unload(pipe) and not (self.source.pending or self.source.blocked)
        self._pipes.give_back(pipe)
        return super().pass_on()

    def salvage(self, scratch: memoryview) -> None:
        """See `Flow`."""
        if self._kept_in is not None:
            try:
                if not self._unload(self._kept_in):
                    return
            except SocketError:
                return
        super().salvage(scratch)

    def _load(self, pipe: Pipe) -> None:
        """Take what there is. Nothing, if it is nothing that can be spliced: a receive tells what it is.

        Raises what a receive would: the kernel tells of an error only once.
        """
        watch, tls = self.source.watch, self._tls
        if tls is not None:
            tls.pending = False
        while pipe.kept < SCRATCH_BYTES and watch.readable:
            try:
                count = os.splice(self._out_of, pipe.writer, SCRATCH_BYTES - pipe.kept, flags=_FLAGS)
            except BlockingIOError:
                # Nothing now, or no room: the loop will tell.
                return
            except OSError as error:
                if tls is None:
                    raise SocketError.of("readsocket", error) from error
                tls.refused(error)
                return
            pipe.kept += count
            if not count or tls is None:
                return

    def _unload(self, pipe: Pipe) -> bool:
        """Let the sink have what is in it; False if it did not take all, and the pipe is kept."""
        while pipe.kept:
            try:
                count = os.splice(pipe.reader, self._into, pipe.kept, flags=_FLAGS)
            except BlockingIOError:
                self._kept_in = pipe
                self._spliced_into.blocked = True
                return False
            except OSError as error:
                self._kept_in = None
                raise SocketError.of("writesocket", error) from error
            pipe.kept -= count
            self.count += count
        self._kept_in = None
        self._pipes.give_back(pipe)
        return True
