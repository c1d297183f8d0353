"""Two descriptors as one socket."""

import os
import threading

import gevent
import gevent.socket
import pytest

from gtunnel.net.plumbing import Plumbing


def talk(plumbing: Plumbing) -> gevent.socket.socket:
    return gevent.socket.socket(fileno=plumbing.sock.detach())


def test_bytes_and_ends_go_through() -> None:
    source, to_us = os.pipe()
    from_us, sink = os.pipe()
    plumbing = Plumbing(source, sink)
    ours = talk(plumbing)
    os.write(to_us, b"in")
    assert ours.recv(10) == b"in"
    os.close(to_us)
    assert ours.recv(10) == b""
    ours.sendall(b"out")
    ours.close()
    plumbing.drain()
    assert os.read(from_us, 10) == b"out"
    assert os.read(from_us, 10) == b""
    os.close(from_us)


def test_all_is_written_before_it_is_drained() -> None:
    source, to_us = os.pipe()
    from_us, sink = os.pipe()
    plumbing = Plumbing(source, sink)
    ours = talk(plumbing)
    found = bytearray()

    def read() -> None:
        while data := os.read(from_us, 65536):
            found.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    ours.sendall(b"x" * 1_000_000)
    ours.close()
    plumbing.drain()
    reader.join(10)
    assert len(found) == 1_000_000
    os.close(to_us)
    os.close(from_us)


def test_who_writes_for_nobody_learns_of_it() -> None:
    source, to_us = os.pipe()
    from_us, sink = os.pipe()
    plumbing = Plumbing(source, sink)
    ours = talk(plumbing)
    os.close(from_us)

    def write() -> None:
        while True:
            ours.sendall(b"x" * 65536)

    with ours, gevent.Timeout(10), pytest.raises(OSError, match=r"Broken pipe|reset by peer"):
        write()
    plumbing.drain()
    os.close(to_us)


def test_descriptors_are_given_back_as_they_were() -> None:
    source, to_us = os.pipe()
    from_us, sink = os.pipe()
    shared = os.dup(source)
    plumbing = Plumbing(source, sink)
    assert not os.get_blocking(shared)
    talk(plumbing).close()
    plumbing.drain()
    assert os.get_blocking(shared)
    for number in (to_us, from_us, shared):
        os.close(number)


def test_a_file_is_read_to_its_end(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "file")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"all of it")
    from_us, sink = os.pipe()
    plumbing = Plumbing(os.open(path, os.O_RDONLY), sink)
    ours = talk(plumbing)
    assert ours.recv(100) == b"all of it"
    assert ours.recv(100) == b""
    ours.close()
    plumbing.drain()
    os.close(from_us)
