import errno
import os
import resource
import socket
from unittest import mock

import pytest

from gtunnel.net import pairs


def test_the_ends_of_a_pair_are_connected_and_internet_sockets() -> None:
    ours, theirs = pairs.connected()
    with ours, theirs:
        assert ours.family == socket.AF_INET
        assert theirs.getpeername() == ours.getsockname()
        assert os.get_blocking(theirs.fileno())
        assert not os.get_blocking(ours.fileno())
        assert not theirs.get_inheritable()
        theirs.sendall(b"x")
        theirs.shutdown(socket.SHUT_WR)
        ours.settimeout(10)
        assert ours.recv(10) == b"x"
        assert ours.recv(10) == b""


def test_without_a_loopback_they_are_unix_sockets() -> None:
    with mock.patch.object(pairs, "_loopback", side_effect=OSError(errno.ENETUNREACH, "no")):
        ours, theirs = pairs.connected()
    with ours, theirs:
        assert ours.family == socket.AF_UNIX
        assert os.get_blocking(theirs.fileno())
        assert not os.get_blocking(ours.fileno())


def test_others_who_connect_are_turned_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        others = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(2)]
        expected = socket.create_connection(listener.getsockname(), timeout=10)
        with expected, others[0], others[1]:
            found = pairs._accept_from(listener, expected.getsockname())
            assert found is not None
            with found:
                assert found.getpeername() == expected.getsockname()
            others[0].settimeout(10)
            assert others[0].recv(1) == b""


def test_an_exhausted_table_is_an_error() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The next number is one too many: what is open already stays open.
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            pairs.connected()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
