"""Asking the kernel for TLS: as it is here, and what is said where it has none."""

import errno
import socket
from pathlib import Path

import pytest

from gtunnel.net import kerneltls
from gtunnel.net.errors import SocketError
from tests.support.userkernel import TLS_RX, TLS_TX, UserKernelSocket


def has_module() -> bool:
    """What the kernel itself lists, once somebody has asked for it."""
    return "tls" in Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text(encoding="ascii").split()


def test_what_is_found_is_what_the_kernel_lists() -> None:
    refusal = kerneltls.refusal()
    assert bool(refusal) is not has_module()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOTCONN, ""),
        (errno.ENOENT, "this kernel has no TLS, or its module tls is not loaded and cannot be"),
        (errno.ENOPROTOOPT, "setsockopt TCP_ULP: Protocol not available (92)"),
    ],
)
def test_each_answer_has_its_meaning(number: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answering(socket.socket):
        def setsockopt(self, *_: object) -> None:
            raise OSError(number, "as the kernel says")

    monkeypatch.setattr("gtunnel.net.kerneltls.socket.socket", Answering)
    assert kerneltls.refusal() == said


def test_only_tcp_has_it() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert kerneltls.give(one, b"", b"") == "no TCP"


def test_a_small_send_buffer_might_lose_a_record_at_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        assert "too small" in kerneltls.give(sock, b"", b"")


@pytest.mark.parametrize("refused", [TLS_TX, TLS_RX])
def test_half_a_takeover_is_a_failure_and_none_is_none(refused: int) -> None:
    info = b"\x04\x03\x33\x00" + bytes(36)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = UserKernelSocket(socket.create_connection(listener.getsockname()), refused)
    with sock:
        if refused == TLS_TX:
            assert kerneltls.give(sock, info, info) == "Invalid argument (22)"
        else:
            with pytest.raises(SocketError, match="TLS_RX"):
                kerneltls.give(sock, info, info)
