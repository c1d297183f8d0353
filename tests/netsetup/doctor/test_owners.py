import os
import socket

from netsetup.doctor.owners import owners


def test_our_own_socket_is_ours() -> None:
    with socket.socket() as one:
        inode = os.fstat(one.fileno()).st_ino
        found = owners([inode, 0])[inode]
    assert os.getpid() in {owner.pid for owner in found}
    assert all(owner.may_be_transparent == (os.geteuid() == 0) for owner in found if owner.pid == os.getpid())
    assert f"(pid {os.getpid()})" in " ".join(map(str, found))


def test_a_socket_of_nobody() -> None:
    assert owners([]) == {}
    assert owners([0]) == {}
    assert owners([1 << 60]) == {}
