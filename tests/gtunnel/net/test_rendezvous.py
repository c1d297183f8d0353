import socket

import pytest

from gtunnel.net.errors import OwnAddressError, SocketError
from gtunnel.net.rendezvous import PeerMissingError, Rendezvous
from gtunnel.net.waiting import Wakeup


def nothing() -> None:
    """A client that is still there."""


def knock(rendezvous: Rendezvous, source: str, kept: list[socket.socket]) -> None:
    assert rendezvous.address is not None
    kept.append(socket.create_connection(rendezvous.address.sockaddr[:2], timeout=10, source_address=(source, 0)))


def test_only_who_is_expected_may_come() -> None:
    wakeup, kept = Wakeup(), list[socket.socket]()
    rendezvous = Rendezvous("127.0.0.1", wakeup)
    for source in ("127.0.0.2", "127.0.0.3"):
        knock(rendezvous, source, kept)
    leg, peer = rendezvous.meet(["127.0.0.3"], 10, nothing)
    assert peer.host == "127.0.0.3"
    assert kept[0].recv(1) == b""
    leg.close(reset=False)
    wakeup.close()
    for sock in kept:
        sock.close()


def test_nobody_is_waited_for_for_ever() -> None:
    wakeup = Wakeup()
    with pytest.raises(PeerMissingError, match="nobody who was expected connected to 127"):
        Rendezvous("127.0.0.1", wakeup).meet(["127.0.0.1"], 0.05, nothing)
    wakeup.close()


def test_an_address_that_is_not_ours_cannot_be_listened_at() -> None:
    with pytest.raises(OwnAddressError, match="socksBind = 192"):
        Rendezvous("192.0.2.250", Wakeup())


def test_it_ends_when_the_client_has_left() -> None:
    wakeup = Wakeup()

    def gone() -> None:
        raise SocketError(operation="readsocket", reason="gone")

    rendezvous = Rendezvous("127.0.0.1", wakeup)
    address = rendezvous.address
    assert address is not None
    with pytest.raises(SocketError, match="gone"):
        rendezvous.meet(["127.0.0.1"], 10, gone)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), timeout=10)
    wakeup.close()
