"""What a peer may say in handshake messages after the handshake, where OpenSSL does not hear it: session tickets, which
are passed over (RFC 8446, section 4.6). Anything else cannot be answered."""

from typing import Final

_TICKET: Final = 4
_KEY_UPDATE: Final = 24
_HEADER_BYTES: Final = 4


class TicketReader:
    """Reads the contents of handshake records, which messages may be cut at anywhere. Keeps no more than a header."""

    __slots__ = ("_header", "_left")

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0

    def refusal(self, content: bytes) -> str:
        """Why the connection cannot go on after this; empty if it can."""
        at = 0
        while at < len(content):
            if self._left:
                passed = min(self._left, len(content) - at)
                self._left -= passed
                at += passed
                continue
            self._header.append(content[at])
            at += 1
            if self._header[0] == _KEY_UPDATE:
                return "the peer changes its keys (KeyUpdate), which the kernel cannot follow (options = ENABLE_KTLS)"
            if self._header[0] != _TICKET:
                return "SSL routines::unexpected message"
            if len(self._header) == _HEADER_BYTES:
                self._left = int.from_bytes(self._header[1:])
                self._header.clear()
        return ""
