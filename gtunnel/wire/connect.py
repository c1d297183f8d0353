"""HTTP's CONNECT (RFC 9110, section 9.3.6): a client that reaches its TLS server through a proxy."""

import os
import time
from base64 import b64decode, b64encode
from collections.abc import Generator
from dataclasses import field
from typing import Final

from gtunnel.address import HostPort
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.values import dataclass
from gtunnel.wire import ntlm
from gtunnel.wire.errors import ProtocolError
from gtunnel.wire.steps import (
    MAX_MESSAGE,
    Connect,
    Negotiation,
    Receive,
    ReceiveLine,
    Scene,
    Send,
    Side,
    StartTls,
    Step,
)

# Proxies say little before the tunnel. What is larger is not for us.
MAX_HEADERS: Final = 100
MAX_BODY: Final = 1 << 20
_SUCCESS: Final = range(200, 300)
_AUTHENTICATION_REQUIRED: Final = 407


def client(settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the proxy is connected to, and TLS is spoken with `protocolHost` behind it."""
    target = settings.destination
    if target is None:
        raise ProtocolError(protocol="connect", reason="protocolHost does not say whom to connect to")
    yield Connect()
    answer = yield from (_ntlm if settings.authentication == "ntlm" else _basic)(settings, target)
    if answer.code not in _SUCCESS:
        raise _refusal(answer, settings)
    yield StartTls()


@dataclass(slots=True)
class Answer:
    """A response's first line, its code, and its headers, names in lower case."""

    line: str
    code: int
    headers: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key == name]


def _basic(settings: ProtocolSettings, target: HostPort) -> Generator[Step, bytes, Answer]:
    credentials = None
    if settings.username is not None:
        both = f"{settings.username}:{settings.password or ''}"
        credentials = f"Basic {_encoded(both.encode())}"
    yield from _ask(settings, target, credentials)
    return (yield from _read_answer())


def _ntlm(settings: ProtocolSettings, target: HostPort) -> Generator[Step, bytes, Answer]:
    """Three messages, in two requests on one connection."""
    if settings.username is None:
        return (yield from _basic(settings, target))
    yield from _ask(settings, target, f"NTLM {_encoded(ntlm.negotiate())}")
    answer = yield from _read_answer()
    if answer.code != _AUTHENTICATION_REQUIRED:
        return answer
    challenge = ntlm.read_challenge(_challenge(answer))
    yield from _skip_body(answer)
    if "close" in " ".join(answer.all("connection") + answer.all("proxy-connection")).lower():
        raise ProtocolError(protocol="connect", reason="the proxy ends the connection in the middle of NTLM")
    login = ntlm.Login(
        user=settings.username,
        domain=settings.domain or "",
        password=settings.password or "",
        nonce=os.urandom(8),
        seconds=time.time(),
    )
    yield from _ask(settings, target, f"NTLM {_encoded(ntlm.authenticate(challenge, login))}")
    return (yield from _read_answer())


def _challenge(answer: Answer) -> bytes:
    for value in answer.all("proxy-authenticate"):
        scheme, _, text = value.partition(" ")
        if scheme.lower() == "ntlm" and text:
            try:
                return b64decode(text.strip(), validate=True)
            except ValueError as error:
                raise ProtocolError(protocol="connect", reason="the proxy's NTLM challenge is none") from error
    raise ProtocolError(protocol="connect", reason=f"the proxy offers no NTLM ({answer.line})")


def _ask(settings: ProtocolSettings, target: HostPort, credentials: str | None) -> Generator[Step, bytes, None]:
    authority = f"[{target.host}]:{target.port}" if ":" in target.host else f"{_ascii(target.host)}:{target.port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if credentials is not None and credentials.startswith("NTLM"):
        lines.append("Proxy-Connection: keep-alive")
    secrets = [] if credentials is None else [f"Proxy-Authorization: {credentials}"]
    if settings.header is not None:
        secrets.append(settings.header)
    request = _lines([*lines, *secrets, ""])
    shown = _lines([*lines, "(secret)", ""]) if secrets else b""
    yield Send(Side.TARGET, request, secret=bool(secrets), shown=shown)


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _encoded(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _read_answer() -> Generator[Step, bytes, Answer]:
    line = (yield ReceiveLine(Side.TARGET)).decode("latin-1")
    version, _, rest = line.partition(" ")
    code = rest.partition(" ")[0]
    if not version.startswith("HTTP/1.") or not (len(code) == 3 and code.isascii() and code.isdigit()):
        raise ProtocolError(protocol="connect", reason=f"the proxy does not speak HTTP: {line[:100]!r}")
    answer = Answer(line, int(code))
    for _ in range(MAX_HEADERS + 1):
        header = (yield ReceiveLine(Side.TARGET)).decode("latin-1")
        if not header:
            return answer
        name, _, value = header.partition(":")
        answer.headers.append((name.strip().lower(), value.strip()))
    raise ProtocolError(protocol="connect", reason=f"the proxy said more than {MAX_HEADERS} headers")


def _skip_body(answer: Answer) -> Generator[Step, bytes, None]:
    if "chunked" in " ".join(answer.all("transfer-encoding")).lower():
        yield from _skip_chunks()
        return
    lengths = answer.all("content-length")
    if lengths:
        yield from _skip(_number(lengths[-1], 10))


def _skip_chunks() -> Generator[Step, bytes, None]:
    total = 0
    while size := _number((yield ReceiveLine(Side.TARGET)).decode("latin-1").partition(";")[0].strip(), 16):
        total += size
        yield from _skip(total if total > MAX_BODY else size)
        yield ReceiveLine(Side.TARGET)
    for _ in range(MAX_HEADERS):
        if not (yield ReceiveLine(Side.TARGET)):
            return
    raise ProtocolError(protocol="connect", reason=f"the proxy said more than {MAX_HEADERS} trailers")


def _skip(count: int) -> Generator[Step, bytes, None]:
    if count > MAX_BODY:
        raise ProtocolError(protocol="connect", reason=f"the proxy's page is longer than {MAX_BODY} bytes")
    while count:
        size = min(count, MAX_MESSAGE)
        yield Receive(Side.TARGET, size)
        count -= size


def _number(text: str, base: int) -> int:
    if not text.isascii() or not text.isalnum() or len(text) > 15:
        raise ProtocolError(protocol="connect", reason="the proxy's page has no length")
    try:
        return int(text, base)
    except ValueError as error:
        raise ProtocolError(protocol="connect", reason="the proxy's page has no length") from error


def _refusal(answer: Answer, settings: ProtocolSettings) -> ProtocolError:
    hint = ""
    if answer.code == _AUTHENTICATION_REQUIRED:
        schemes = ", ".join(value.partition(" ")[0] for value in answer.all("proxy-authenticate"))
        if settings.username is None:
            hint = f" (set protocolUsername and protocolPassword; it offers {schemes})"
        else:
            hint = f" (user {settings.username!r} was not accepted; it offers {schemes})"
    return ProtocolError(protocol="connect", reason=f"the proxy said {answer.line[:200]!r}{hint}")
