"""Two TLS engines and what goes between them, without a socket: for the tests of this directory."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import ServiceSettings
from gtunnel.tls import context
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import HandshakeError
from gtunnel.tls.openssl import sessions
from tests.support.certificates import Identity

BUFFER = 65536


def service(*lines: str, client: bool = False) -> ServiceSettings:
    """A service with these lines."""
    head = ("[it]", f"client = {'yes' if client else 'no'}", "accept = 1", "connect = 2")
    return parse_text("\n".join((*head, *lines))).services[0]


def presenting(identity: Identity) -> tuple[str, str]:
    """The lines that present a certificate."""
    return f"cert = {identity.cert}", f"key = {identity.key}"


def client(*lines: str, host: str | None = None) -> TlsEngine:
    """An engine of a client service that connects to `host`."""
    return context.build(service(*lines, client=True)).engine(host)


def server(*lines: str) -> TlsEngine:
    """An engine of a server service."""
    return context.build(service(*lines)).engine()


@dataclass(slots=True)
class Meeting:
    """Two engines, and how their handshake went. `cut` says how many bytes at a time go from one to the other."""

    client: TlsEngine
    server: TlsEngine
    cut: int = BUFFER
    errors: dict[TlsEngine, HandshakeError] = field(default_factory=dict)
    done: set[TlsEngine] = field(default_factory=set)

    def shake(self) -> "Meeting":
        """Shake hands, until nothing goes on any more."""
        going = True
        while going:
            going = False
            for one, other in self.ways():
                self._step(one)
                for part in self.parts(one):
                    other.feed(part)
                    self._step(other)
                    going = True
        return self

    def ways(self) -> tuple[tuple[TlsEngine, TlsEngine], ...]:
        """From client to server, and back."""
        return ((self.client, self.server), (self.server, self.client))

    def parts(self, engine: TlsEngine) -> Iterator[bytes]:
        """What an engine has to send, in parts."""
        data = drain(engine)
        return (data[start : start + self.cut] for start in range(0, len(data), self.cut))

    def deliver(self, one: TlsEngine) -> None:
        """Bring what `one` has to send to the other."""
        other = self.server if one is self.client else self.client
        for part in self.parts(one):
            other.feed(part)

    def _step(self, engine: TlsEngine) -> None:
        if engine in self.errors or engine in self.done:
            return
        try:
            if engine.handshake():
                self.done.add(engine)
        except HandshakeError as error:
            self.errors[engine] = error

    @property
    def agreed(self) -> bool:
        """Whether both have finished."""
        return self.done == {self.client, self.server}

    def error(self, engine: TlsEngine) -> str:
        """Why an engine's handshake failed; "" if it did not."""
        return str(self.errors.get(engine, ""))


def met(client_engine: TlsEngine, server_engine: TlsEngine, cut: int = BUFFER) -> Meeting:
    """A meeting whose handshake must succeed."""
    meeting = Meeting(client_engine, server_engine, cut).shake()
    assert meeting.agreed, {str(error) for error in meeting.errors.values()}
    return meeting


def drain(engine: TlsEngine) -> bytes:
    """All that an engine has to send."""
    return b"".join(chunks(engine))


def chunks(engine: TlsEngine, size: int = BUFFER) -> Iterator[bytes]:
    """The same, `size` bytes at a time."""
    buffer = memoryview(bytearray(size))
    while count := engine.take_output(buffer):
        yield bytes(buffer[:count])
    assert not engine.has_output()


def read(engine: TlsEngine, size: int = BUFFER) -> bytes:
    """What can be decrypted now, `size` bytes at a time."""
    buffer, data = memoryview(bytearray(size)), bytearray()
    while count := engine.read_into(buffer):
        data += buffer[:count]
    return bytes(data)


def write(engine: TlsEngine, data: bytes) -> None:
    """Encrypt all of it; the engine must take it."""
    rest = memoryview(data)
    while rest:
        taken = engine.write(rest)
        assert taken
        rest = rest[taken:]


def verdicts(engine: TlsEngine) -> list[str]:
    """The lines that verification wants logged."""
    return [text for _, text in engine.take_verdicts()]


def encoded_session(engine: TlsEngine) -> bytes:
    """The session that an engine has now, as bytes: empty if there is none."""
    session = engine.session()
    return b"" if session is None else sessions.encode(session)
