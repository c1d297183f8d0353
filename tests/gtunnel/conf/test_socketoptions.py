import socket
import struct

import pytest

from gtunnel.conf import socketoptions
from gtunnel.conf.option import BadValueError
from gtunnel.conf.socketoptions import ROWS, Kind, Side, group_by_side, parse_socket_line, render

# What `stunnel4 -sockets` lists on Linux.
STUNNELS = [
    "SO_DEBUG",
    "SO_DONTROUTE",
    "SO_KEEPALIVE",
    "SO_LINGER",
    "SO_OOBINLINE",
    "SO_RCVBUF",
    "SO_SNDBUF",
    "SO_RCVLOWAT",
    "SO_SNDLOWAT",
    "SO_RCVTIMEO",
    "SO_SNDTIMEO",
    "SO_REUSEADDR",
    "SO_BINDTODEVICE",
    "TCP_KEEPCNT",
    "TCP_KEEPIDLE",
    "TCP_KEEPINTVL",
    "IP_TOS",
    "IP_TTL",
    "TCP_NODELAY",
    "IP_FREEBIND",
    "IPV6_V6ONLY",
]


def test_all_options_of_stunnel_are_known_in_its_order() -> None:
    assert [row.name for row in ROWS] == STUNNELS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a:SO_REUSEADDR=no", 0),
        ("a:SO_REUSEADDR=YES", 1),
        ("a:SO_REUSEADDR=1", 1),
        ("l:SO_RCVBUF=4096", 4096),
        ("l:SO_LINGER=1:60", struct.pack("ii", 1, 60)),
        ("l:SO_LINGER=1", struct.pack("ii", 1, 0)),
        ("r:SO_RCVTIMEO=5:250000", struct.pack("ll", 5, 250000)),
        ("a:SO_BINDTODEVICE=lo", b"lo"),
        ("a:SO_BINDTODEVICE=", b""),
    ],
)
def test_values_are_encoded_for_setsockopt(text: str, value: int | bytes) -> None:
    assert parse_socket_line(text).option.value == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a",
            "a:",
            "x:SO_DEBUG=yes",
            "A:SO_DEBUG=yes",
            "a:SO_DEBUG",
            "a:FOO=1",
            "a:so_debug=yes",
            "a: SO_DEBUG=yes",
        ),
        *(
            "a:SO_DEBUG=maybe",
            "a:SO_DEBUG=2",
            "a:SO_RCVBUF=x",
            "a:SO_RCVBUF=0x10",
            "a:SO_RCVBUF=",
            "a:SO_RCVBUF=9999999999",
        ),
        *("a:SO_LINGER=1:60:1", "a:SO_LINGER=yes", "a:SO_RCVTIMEO=1:1000000", "a:SO_RCVTIMEO=-1:0"),
        *("a:SO_BINDTODEVICE=sixteen-letters!", "a:SO_BINDTODEVICE=a/b"),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadValueError, match=r"^Illegal socket option"):
        parse_socket_line(text)


def test_the_defaults_come_first_and_the_last_line_counts() -> None:
    lines = [parse_socket_line(text) for text in ("a:SO_REUSEADDR=no", "a:IP_TTL=5", "r:TCP_NODELAY=no")]
    options = group_by_side([*socketoptions.DEFAULTS, *lines])
    assert [(option.name, option.value) for option in options.accept] == [("SO_REUSEADDR", 0), ("IP_TTL", 5)]
    assert [(option.name, option.value) for option in options.local] == [("TCP_NODELAY", 1)]
    assert [(option.name, option.value) for option in options.remote] == [("TCP_NODELAY", 0)]


def test_defaults_are_listed_by_side() -> None:
    defaults = {(row.name, side): row.default(side) for row in ROWS for side in Side if row.default(side)}
    assert defaults == {
        ("SO_REUSEADDR", Side.ACCEPT): "yes",
        ("TCP_NODELAY", Side.LOCAL): "yes",
        ("TCP_NODELAY", Side.REMOTE): "yes",
    }


def test_every_option_can_be_read_from_a_real_socket_and_rendered() -> None:
    with socket.socket(socket.AF_INET) as four, socket.socket(socket.AF_INET6) as six:
        for row in ROWS:
            asked = six if row.level == socket.IPPROTO_IPV6 else four
            assert isinstance(render(row.kind, asked.getsockopt(row.level, row.number, 16)), str)


def test_what_the_kernel_says_reads_as_it_would_be_written() -> None:
    assert render(Kind.FLAG, struct.pack("i", 1)) == "yes"
    assert render(Kind.FLAG, struct.pack("i", 0)) == "no"
    assert render(Kind.NUMBER, struct.pack("i", 7200)) == "7200"
    assert render(Kind.LINGER, struct.pack("ii", 1, 60)) == "1:60"
    assert render(Kind.TIME, struct.pack("ll", 5, 1)) == "5:1"
    assert render(Kind.NAME, b"lo\0") == "lo"


def test_the_kernel_takes_what_is_encoded() -> None:
    with socket.socket() as real:
        for text in ("a:SO_LINGER=1:60", "a:SO_RCVTIMEO=5:1", "a:IP_FREEBIND=yes", "a:TCP_KEEPIDLE=60"):
            option = parse_socket_line(text).option
            real.setsockopt(option.level, option.number, option.value)


def test_a_misspelt_option_suggests_the_nearest() -> None:
    with pytest.raises(BadValueError, match=r'did you mean "TCP_NODELAY"\?$'):
        parse_socket_line("l:TCP_NODLEAY=1")
