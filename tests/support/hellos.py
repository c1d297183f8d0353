"""ClientHellos put together by hand."""

import struct


def in_records(body: bytes, size: int = 16384, *, claimed: int | None = None) -> bytes:
    """A ClientHello message in records."""
    message = b"\x01" + (len(body) if claimed is None else claimed).to_bytes(3) + body
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(struct.pack("!BHH", 22, 0x0301, len(part)) + part for part in parts)


def with_extensions(body: bytes, *more: tuple[int, bytes]) -> bytes:
    """The hello with further extensions at the end (a pre-shared key has to be the last)."""
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2])
    at += 1 + body[at]
    added = b"".join(struct.pack("!HH", kind, len(data)) + data for kind, data in more)
    old = body[at + 2 :]
    return body[:at] + struct.pack("!H", len(old) + len(added)) + old + added
