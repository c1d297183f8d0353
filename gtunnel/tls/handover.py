"""A TLS engine that can let go of its connection: somebody else, the kernel, goes on with its keys.

OpenSSL tells neither its keys nor how many records it has made of them. The keys follow from the traffic secrets, which
it tells a key log, and the records can be counted outside (`recordcount`): from the end of the handshake on, as the
first of them to be protected by these keys is known in each role.

- A server's last step in the handshake reads the client's Finished; what it writes then are tickets: they count.
- A client's last step writes its own Finished, which is protected by the handshake's keys: it does not count. What has
  come behind the server's Finished does.

OpenSSL reads no further than to the end of the record that it needs, so what has come behind is what it left.

A key update begins a new count with new keys, and cannot be seen from outside. Nothing is taken on trust, therefore:
the newest record of each direction must open with what was computed, and be no key update itself.
"""

from dataclasses import field

from OpenSSL import SSL

from gtunnel.tls.engine import Request, TlsEngine
from gtunnel.tls.kernelkeys import CIPHERS, HANDSHAKE, DirectionKey, Secrets
from gtunnel.tls.keylog import deliver
from gtunnel.tls.recordcount import RecordCounter
from gtunnel.values import dataclass

# RFC 8446, section 4.
_KEY_UPDATE = 24


@dataclass(frozen=True, slots=True)
class Keys:
    """What the kernel is to go on with: its `crypto_info` for what we send, and for what we receive."""

    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


class HandoverEngine(TlsEngine):
    """A `TlsEngine` of a context whose connections may become the kernel's."""

    __slots__ = ("_received", "_secrets", "_sent")

    def __init__(self, context: SSL.Context, request: Request | None) -> None:
        """See `TlsEngine`. The context must tell secrets (`keylog.set_keylog`)."""
        super().__init__(context, request)
        self._secrets: Secrets | None = Secrets()
        deliver(self._connection, self._secrets)
        self._sent: RecordCounter | None = None
        self._received: RecordCounter | None = None

    def handshake(self) -> bool:
        """See `TlsEngine`."""
        done = super().handshake()
        if done and self._connection.get_protocol_version() != SSL.TLS1_3_VERSION:
            self.keep()
        elif done and self._secrets is not None:
            self._sent = RecordCounter(0 if self._server else self.has_output())
            self._received = RecordCounter()
            self._received.feed(self._records.peek())
        return done

    def feed(self, ciphertext: memoryview | bytes) -> None:
        """See `TlsEngine`."""
        super().feed(ciphertext)
        if self._received is not None:
            self._received.feed(ciphertext)

    def read_into(self, buffer: memoryview, ciphertext: memoryview | None = None, fed: int = 0) -> int:
        """See `TlsEngine`."""
        if ciphertext is not None and self._received is not None:
            self._received.feed(ciphertext[:fed])
        return super().read_into(buffer, ciphertext, fed)

    def seal(self, plaintext: memoryview, buffer: memoryview) -> tuple[int, int]:
        """See `TlsEngine`."""
        taken, count = super().seal(plaintext, buffer)
        if count and self._sent is not None:
            self._sent.feed(buffer[:count])
        return taken, count

    def take_output(self, buffer: memoryview) -> int:
        """See `TlsEngine`."""
        count = super().take_output(buffer)
        if count and self._sent is not None:
            self._sent.feed(buffer[:count])
        return count

    @property
    def can_let_go(self) -> bool:
        """Whether there are keys for somebody else at all."""
        return self._secrets is not None and self._received is not None

    @property
    def missing(self) -> int:
        """How many bytes of the record that is being received are certain to be missing; 0 at a boundary."""
        return 0 if self._received is None else self._received.missing

    @property
    def is_at_boundary(self) -> bool:
        """Whether all that came was read, and all that is to be sent was taken, in whole records."""
        if self.more or self.ended or self._records.failure is not None or self.has_said_farewell:
            return False
        return not (self.missing or self._records.unread() or self.has_output())

    def let_go(self) -> Keys | None:
        """At a boundary: the keys, once. The engine itself must not be used any more, but for what was negotiated and
        for `tell_farewell`. None where there are none; then it goes on, for good."""
        secrets, sent, received = self._secrets, self._sent, self._received
        self.keep()
        cipher = CIPHERS.get(self._connection.get_cipher_name() or "")
        if secrets is None or sent is None or received is None or cipher is None:
            return None
        own, other = (secrets.server, secrets.client) if self._server else (secrets.client, secrets.server)
        if not own or not other:
            return None
        send, receive = DirectionKey.of(cipher, own), DirectionKey.of(cipher, other)
        if not (_is_proved(send, sent) and _is_proved(receive, received)):
            return None
        return Keys(send.crypto_info(sent.count), receive.crypto_info(received.count))

    def keep(self) -> None:
        """Stay as it is: nothing is counted any more, and the secrets are forgotten."""
        deliver(self._connection, None)
        self._secrets = self._sent = self._received = None

    def tell_farewell(self, *, sent: bool = False, received: bool = False) -> None:
        """What somebody else has sent or received for us: close_notify. OpenSSL resumes no session without ours."""
        flags = (SSL.SENT_SHUTDOWN if sent else 0) | (SSL.RECEIVED_SHUTDOWN if received else 0)
        self._connection.set_shutdown(self._connection.get_shutdown() | flags)


def _is_proved(key: DirectionKey, counter: RecordCounter) -> bool:
    """Whether the newest record opens, and the next one will be protected in the same way."""
    if not counter.count:
        return True
    opened = key.open(bytes(counter.last), counter.count - 1)
    if opened is None:
        return False
    kind, content = opened
    return kind != HANDSHAKE or _ends_whole(content)


def _ends_whole(messages: bytes) -> bool:
    """Whether these are whole handshake messages, and no key update is among them."""
    at = 0
    while at < len(messages):
        if messages[at] == _KEY_UPDATE:
            return False
        at += 4 + int.from_bytes(messages[at + 1 : at + 4])
    return at == len(messages)
