"""What one peer has sent and the protocol has not taken yet. Bytes in, lines and messages out; knows no socket."""

from gtunnel.wire.errors import MessageError
from gtunnel.wire.steps import Receive, ReceiveLine


class Inbox:
    """The bytes of one side, in order. Holds at most a step's limit and what one `feed` brought beyond it."""

    __slots__ = ("_data", "_searched")

    def __init__(self) -> None:
        self._data = bytearray()
        # How far there is no end of line: a line that comes byte by byte is not searched again each time.
        self._searched = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Add what has come."""
        self._data += data

    def take(self, step: ReceiveLine | Receive) -> bytes | None:
        """What the step asks for; None if it has not come yet. Raises `MessageError` for a line beyond its limit."""
        if isinstance(step, Receive):
            return self._cut(step.count) if len(self._data) >= step.count else None
        end = self._data.find(step.end, self._searched, step.limit)
        if end < 0:
            self._searched = len(self._data)
            if len(self._data) >= step.limit:
                raise MessageError(side=step.side.value, reason=f"Line too long: more than {step.limit} bytes")
            return None
        line = self._cut(end + 1)[:-1]
        return line.removesuffix(b"\r") if step.end == b"\n" else line

    def take_rest(self) -> bytes:
        """All that is left, for whoever goes on with this side: TLS, or the relay."""
        return self._cut(len(self._data))

    @property
    def waiting(self) -> bytes:
        """All that is left, which stays."""
        return bytes(self._data)

    def _cut(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
        self._searched = 0
        return taken

    def __len__(self) -> int:
        return len(self._data)
