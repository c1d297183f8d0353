"""Listening sockets."""

import errno
import os
import socket
from pathlib import Path

import pytest

from gtunnel.address import HostPort, SocketAddress, UnixPath
from gtunnel.conf.settings import SocketOption
from gtunnel.events import Level, SilentLog
from gtunnel.net.errors import ListenError
from gtunnel.net.listen import ListenerSpec, ListeningSocket, expand, listen
from gtunnel.net.transparency import Opaque
from tests.gtunnel.logs import ListLog

REUSE = SocketOption(name="SO_REUSEADDR", level=socket.SOL_SOCKET, number=socket.SO_REUSEADDR, value=1)


def at(endpoint: HostPort | UnixPath) -> ListeningSocket:
    return listen(ListenerSpec(endpoint, (REUSE,)), Opaque(), SilentLog())


def test_an_empty_host_listens_on_all_of_ipv4() -> None:
    listening = at(HostPort("", 0))
    assert isinstance(listening.address, SocketAddress)
    assert listening.address.host == "0.0.0.0"
    with socket.create_connection(("127.0.0.1", listening.address.port)):
        accepted, _ = listening.sock.accept()
        accepted.close()
    listening.close()


def test_it_never_blocks() -> None:
    listening = at(HostPort("127.0.0.1", 0))
    with pytest.raises(BlockingIOError):
        listening.sock.accept()
    listening.close()


def test_an_address_in_use_is_named() -> None:
    first = at(HostPort("127.0.0.1", 0))
    assert isinstance(first.address, SocketAddress)
    with pytest.raises(ListenError, match=rf"127.0.0.1:{first.address.port}: Address already in use \(98\)"):
        at(HostPort("127.0.0.1", first.address.port))
    first.close()


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ListenError, match=r"no-such-host\.invalid"):
        expand(ListenerSpec(HostPort("no-such-host.invalid", 1), ()))


def test_a_name_with_several_addresses_is_several_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [("192.0.2.1", 5), ("2001:db8::1", 5, 0, 0), ("fe80::1", 5, 0, 7)]
    found = [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", answer) for answer in answers]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    specs = expand(ListenerSpec(HostPort("two.example", 5), (REUSE,)))
    assert [str(spec.endpoint) for spec in specs] == ["192.0.2.1:5", "2001:db8::1:5", "fe80::1%7:5"]
    assert all(spec.options == (REUSE,) for spec in specs)


@pytest.mark.parametrize("endpoint", [HostPort("", 5), HostPort("::1", 5), UnixPath("/run/x")])
def test_what_is_an_address_already_is_one_listener(endpoint: HostPort | UnixPath) -> None:
    (spec,) = expand(ListenerSpec(endpoint, ()))
    assert str(spec.endpoint) in ("0.0.0.0:5", "::1:5", "/run/x")


def test_an_option_that_decides_who_can_connect_fails_the_listener() -> None:
    device = SocketOption(
        name="SO_BINDTODEVICE", level=socket.SOL_SOCKET, number=socket.SO_BINDTODEVICE, value=b"no-such-dev"
    )
    with pytest.raises(ListenError, match=r"SO_BINDTODEVICE: No such device \(19\)"):
        listen(ListenerSpec(HostPort("127.0.0.1", 0), (device,)), Opaque(), SilentLog())


@pytest.mark.root
def test_a_unix_socket_is_given_to_whom_we_become(tmp_path: Path) -> None:
    listening = at(UnixPath(str(tmp_path / "s")))
    listening.give_to(65534, 65534)
    assert (tmp_path / "s").stat().st_uid == 65534
    listening.close()
    tcp = at(HostPort("127.0.0.1", 0))
    tcp.give_to(65534, 65534)
    tcp.close()


@pytest.mark.root
def test_what_somebody_has_put_in_a_sockets_place_is_given_to_nobody(tmp_path: Path) -> None:
    precious, path = tmp_path / "precious", tmp_path / "it.sock"
    precious.touch()
    listening = listen(ListenerSpec(UnixPath(str(path)), ()), Opaque(), SilentLog())
    for put in (os.symlink, os.link):
        path.unlink()
        put(precious, path)
        with pytest.raises(ListenError, match="chown: Socket operation on non-socket"):
            listening.give_to(65534, 65534)
        assert (precious.stat().st_uid, path.lstat().st_uid) == (0, 0)
    listening.close()


def test_a_unix_socket_goes_with_its_listener(tmp_path: Path) -> None:
    file = tmp_path / "s"
    listening = at(UnixPath(str(file)))
    assert file.is_socket()
    listening.close()
    assert not file.exists()


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(file))
    listening = at(UnixPath(str(file)))
    listening.close()


def test_a_socket_that_somebody_serves_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "s"
    first = at(UnixPath(str(file)))
    with pytest.raises(ListenError, match="Address already in use"):
        at(UnixPath(str(file)))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(file))
    first.close()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("data")
    with pytest.raises(ListenError, match="Address already in use"):
        at(UnixPath(str(file)))
    assert file.read_text() == "data"


class NotAllowed(Opaque):
    def prepare_listener(self, sock: socket.socket) -> None:
        raise PermissionError(errno.EPERM, f"no such right for {sock.fileno()}")


def test_without_the_right_to_be_transparent_it_listens_all_the_same_and_says_what_that_means() -> None:
    log = ListLog(Level.WARNING)
    spec = ListenerSpec(HostPort("127.0.0.1", 0), (REUSE,))
    listen(spec, NotAllowed(), log).close()
    assert log.texts == [
        "127.0.0.1:0: IP_TRANSPARENT: Operation not permitted (1): what TPROXY hands over will not arrive here"
    ]
