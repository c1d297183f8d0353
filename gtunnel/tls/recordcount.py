"""Counting TLS records in a stream of bytes: which sequence number the next record has (RFC 8446, section 5.3).

Whoever takes over the keys of a connection has to know how many records were protected with them. A record's header is
in the clear, so its length is known, and nothing has to be decrypted to count.
"""

from typing import Final

HEADER_BYTES: Final = 5
CHANGE_CIPHER_SPEC: Final = 20


class RecordCounter:
    """One direction, from the first record on that counts. `feed` it all bytes, cut anywhere.

    `skip`: so many bytes come before that record. `last` is the newest record as far as it has come: all of it where
    `missing` is 0, which is the only time when anybody else may go on with the stream.
    """

    __slots__ = ("_body", "_skip", "count", "last")

    def __init__(self, skip: int = 0) -> None:
        self.count = 0
        self.last = bytearray()
        self._skip = skip
        # How much of the newest record's body is still to come; None while its header is not whole.
        self._body: int | None = 0

    @property
    def missing(self) -> int:
        """Bytes that are certain to come before the next record begins; 0 at a boundary."""
        if self._skip:
            return self._skip
        return HEADER_BYTES - len(self.last) if self._body is None else self._body

    def feed(self, data: memoryview | bytes) -> None:
        """Count what is in `data`, which follows what was fed before."""
        view = memoryview(data)
        if self._skip:
            skipped = min(self._skip, len(view))
            self._skip -= skipped
            view = view[skipped:]
        at, end = 0, len(view)
        while at < end:
            if self._body == 0:
                self.last.clear()
                self._body = None
            if self._body is None:
                taken = min(HEADER_BYTES - len(self.last), end - at)
                self.last += view[at : at + taken]
                if len(self.last) == HEADER_BYTES:
                    self._begin()
            else:
                taken = min(self._body, end - at)
                self._body -= taken
                self._keep(view, at, taken)
            at += taken

    def _begin(self) -> None:
        self._body = int.from_bytes(self.last[3:])
        if self.last[0] != CHANGE_CIPHER_SPEC:
            # RFC 8446, section 5: it is never protected, and has no number.
            self.count += 1

    def _keep(self, view: memoryview, at: int, taken: int) -> None:
        """Keep the newest record only: of those that are whole, and followed by another one, nothing is needed."""
        if self._body or at + taken == len(view):
            self.last += view[at : at + taken]
