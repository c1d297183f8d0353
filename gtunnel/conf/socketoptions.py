"""`socket = a|l|r:OPTION=VALUE[:VALUE]`: the options, what their values look like, and how setsockopt(2) wants them.

Nothing is set here and no socket is opened: an option that the kernel refuses is found when it is set.
"""

import enum
import re
import socket
import struct
from collections.abc import Callable, Iterable

from gtunnel.conf.option import BadValueError
from gtunnel.conf.settings import SocketOption, SocketOptions
from gtunnel.conf.similar import suggestion
from gtunnel.values import dataclass

# Not in Python's socket module before 3.12; from linux/in.h and linux/in6.h.
IP_FREEBIND = 15
# IFNAMSIZ with its terminating NUL (linux/if.h).
MAX_INTERFACE = 15
MAX_INT = 2**31 - 1
# tv_usec has to stay below a second (socket(7), SO_RCVTIMEO).
MAX_MICROSECONDS = 999_999

_REASON = "Illegal socket option"


class Side(enum.Enum):
    """Which sockets a line is for: the letter, and the name `-sockets` prints."""

    ACCEPT = "a"
    LOCAL = "l"
    REMOTE = "r"


class Kind(enum.Enum):
    """What an option's value is: how it is read, and what `-sockets` makes of the operating system's bytes."""

    FLAG = "yes|no"
    NUMBER = "NUMBER"
    LINGER = "ONOFF:SECONDS"
    TIME = "SECONDS:MICROSECONDS"
    NAME = "INTERFACE"


@dataclass(frozen=True, slots=True)
class SocketOptionRow:
    """One option: its number for setsockopt(2), and its default for each side as it would be written ("": none)."""

    name: str
    level: int
    number: int
    kind: Kind
    accept: str = ""
    local: str = ""
    remote: str = ""

    def default(self, side: Side) -> str:
        """The default for one side, as text."""
        return {Side.ACCEPT: self.accept, Side.LOCAL: self.local, Side.REMOTE: self.remote}[side]

    def encode(self, text: str) -> SocketOption:
        """Read a value. Raises `BadValueError`."""
        value = _ENCODERS[self.kind](text)
        return SocketOption(name=self.name, level=self.level, number=self.number, value=value)


@dataclass(frozen=True, slots=True)
class SocketLine:
    """One `socket =` line."""

    side: Side
    option: SocketOption


def _flag(text: str) -> int:
    answers = {"yes": 1, "1": 1, "no": 0, "0": 0}
    if text.lower() not in answers:
        raise BadValueError(f"{_REASON}: the value needs to be 'yes' or 'no'")
    return answers[text.lower()]


def _number(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,10}", text.strip()) is None or not -MAX_INT <= int(text) <= MAX_INT:
        raise BadValueError(f"{_REASON}: the value needs to be a number up to {MAX_INT}")
    return int(text)


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition(":")
    return _number(first), _number(second or "0")


def _linger(text: str) -> bytes:
    return struct.pack("@ii", *_pair(text))


def _time(text: str) -> bytes:
    whole, micro = _pair(text)
    if whole < 0 or not 0 <= micro <= MAX_MICROSECONDS:
        raise BadValueError(f"{_REASON}: the value needs to be seconds:microseconds")
    return struct.pack("@ll", whole, micro)


def _name(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > MAX_INTERFACE or b"/" in encoded or any(c.isspace() for c in text):
        raise BadValueError(f"{_REASON}: {text!r} is no interface's name")
    return encoded


_ENCODERS: dict[Kind, Callable[[str], int | bytes]] = {
    Kind.FLAG: _flag,
    Kind.NUMBER: _number,
    Kind.LINGER: _linger,
    Kind.TIME: _time,
    Kind.NAME: _name,
}

ROWS: tuple[SocketOptionRow, ...] = (
    SocketOptionRow("SO_DEBUG", socket.SOL_SOCKET, socket.SO_DEBUG, Kind.FLAG),
    SocketOptionRow("SO_DONTROUTE", socket.SOL_SOCKET, socket.SO_DONTROUTE, Kind.FLAG),
    SocketOptionRow("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE, Kind.FLAG),
    SocketOptionRow("SO_LINGER", socket.SOL_SOCKET, socket.SO_LINGER, Kind.LINGER),
    SocketOptionRow("SO_OOBINLINE", socket.SOL_SOCKET, socket.SO_OOBINLINE, Kind.FLAG),
    SocketOptionRow("SO_RCVBUF", socket.SOL_SOCKET, socket.SO_RCVBUF, Kind.NUMBER),
    SocketOptionRow("SO_SNDBUF", socket.SOL_SOCKET, socket.SO_SNDBUF, Kind.NUMBER),
    SocketOptionRow("SO_RCVLOWAT", socket.SOL_SOCKET, socket.SO_RCVLOWAT, Kind.NUMBER),
    SocketOptionRow("SO_SNDLOWAT", socket.SOL_SOCKET, socket.SO_SNDLOWAT, Kind.NUMBER),
    SocketOptionRow("SO_RCVTIMEO", socket.SOL_SOCKET, socket.SO_RCVTIMEO, Kind.TIME),
    SocketOptionRow("SO_SNDTIMEO", socket.SOL_SOCKET, socket.SO_SNDTIMEO, Kind.TIME),
    SocketOptionRow("SO_REUSEADDR", socket.SOL_SOCKET, socket.SO_REUSEADDR, Kind.FLAG, accept="yes"),
    SocketOptionRow("SO_BINDTODEVICE", socket.SOL_SOCKET, socket.SO_BINDTODEVICE, Kind.NAME),
    SocketOptionRow("TCP_KEEPCNT", socket.IPPROTO_TCP, socket.TCP_KEEPCNT, Kind.NUMBER),
    SocketOptionRow("TCP_KEEPIDLE", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, Kind.NUMBER),
    SocketOptionRow("TCP_KEEPINTVL", socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, Kind.NUMBER),
    SocketOptionRow("IP_TOS", socket.IPPROTO_IP, socket.IP_TOS, Kind.NUMBER),
    SocketOptionRow("IP_TTL", socket.IPPROTO_IP, socket.IP_TTL, Kind.NUMBER),
    SocketOptionRow("TCP_NODELAY", socket.IPPROTO_TCP, socket.TCP_NODELAY, Kind.FLAG, local="yes", remote="yes"),
    SocketOptionRow("IP_FREEBIND", socket.IPPROTO_IP, IP_FREEBIND, Kind.FLAG),
    SocketOptionRow("IPV6_V6ONLY", socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, Kind.FLAG),
)
_BY_NAME = {row.name: row for row in ROWS}

DEFAULTS: tuple[SocketLine, ...] = tuple(
    SocketLine(side, row.encode(row.default(side))) for row in ROWS for side in Side if row.default(side)
)


def parse_socket_line(text: str) -> SocketLine:
    """Read `a|l|r:OPTION=VALUE[:VALUE]`. Raises `BadValueError`."""
    letter, colon, assignment = text.partition(":")
    name, equals, value = assignment.partition("=")
    if not colon or not equals or letter not in {side.value for side in Side}:
        raise BadValueError(f"{_REASON}: a:, l: or r:, then OPTION=VALUE is needed")
    if name not in _BY_NAME:
        raise BadValueError(f"{_REASON}: {name!r} is unknown; gtunnel -sockets lists them{suggestion(name, _BY_NAME)}")
    return SocketLine(Side(letter), _BY_NAME[name].encode(value))


def group_by_side(lines: Iterable[SocketLine]) -> SocketOptions:
    """Sort lines by side. Where an option stands twice for a side, the last line counts, in the place of the first."""
    chosen: dict[Side, dict[str, SocketOption]] = {side: {} for side in Side}
    for line in lines:
        chosen[line.side][line.option.name] = line.option
    accept, local, remote = (tuple(chosen[side].values()) for side in Side)
    return SocketOptions(accept=accept, local=local, remote=remote)


def render(kind: Kind, raw: bytes) -> str:
    """The bytes that getsockopt(2) returned, as the value would be written: for the last column of `-sockets`."""
    if kind is Kind.NAME:
        return raw.rstrip(b"\0").decode(errors="replace")
    if kind in {Kind.LINGER, Kind.TIME}:
        first, second = struct.unpack("@ii" if kind is Kind.LINGER else "@ll", raw)
        return f"{first}:{second}"
    number = int.from_bytes(raw[:4], "little" if struct.pack("@h", 1)[0] else "big", signed=True)
    if kind is Kind.FLAG:
        return "yes" if number else "no"
    return str(number)
