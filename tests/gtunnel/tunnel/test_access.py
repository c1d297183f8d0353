"""Who is let in, over real sockets: limits, and what is counted as what."""

import pytest

from gtunnel.address import SocketAddress
from gtunnel.net.loops import LoopGuard
from gtunnel.tunnel.access import Admission, HandshakeTimeoutError, RefusedError, Visitor
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.census import Census, Register
from gtunnel.tunnel.service import Service
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service

VISITOR = Visitor(client=SocketAddress("192.0.2.1", 1), listener=None)
NEIGHBOUR = Visitor(client=SocketAddress("192.0.2.2", 1), listener=None)
LOCAL = Visitor(client=None, listener=None)


@pytest.fixture
def register() -> Register:
    census = Census()
    return Register(census, census.take())


def compiled(*lines: str) -> Service:
    text = "\n".join(("client = yes\naccept = 1\nconnect = 2", *lines))
    return compile_service(service(text), None, LoopGuard(), ListLog())


def test_a_service_lets_in_so_many_and_no_more(register: Register) -> None:
    limited = compiled("maxConnections = 1")
    first, second = Admission(register, None), Admission(register, None)
    first.count(limited, VISITOR, everywhere=None)
    with pytest.raises(RefusedError, match=r"Connection rejected: too many clients of service \[test\] \(>=1\)"):
        second.count(limited, NEIGHBOUR, everywhere=None)
    first.leave()
    second.count(limited, NEIGHBOUR, everywhere=None)


def test_who_is_refused_by_one_limit_counts_for_none(register: Register) -> None:
    limited = compiled("maxConnectionsPerIP = 1")
    first, second, third = (Admission(register, None) for _ in range(3))
    first.count(limited, VISITOR, everywhere=2)
    with pytest.raises(RefusedError, match=r"too many connections from 192\.0\.2\.1"):
        second.count(limited, VISITOR, everywhere=2)
    second.leave()
    third.count(limited, NEIGHBOUR, everywhere=2)
    with pytest.raises(RefusedError, match=r"too many clients \(>=2\)"):
        second.count(limited, NEIGHBOUR, everywhere=2)


def test_clients_of_unix_sockets_have_no_address(register: Register) -> None:
    limited = compiled("maxConnectionsPerIP = 1")
    for admission in (Admission(register, None), Admission(register, None)):
        admission.count(limited, LOCAL, everywhere=None)


def test_a_connection_counts_once_also_when_it_becomes_another_services(register: Register) -> None:
    admission = Admission(register, None)
    for _ in range(2):
        admission.count(compiled("maxConnections = 1"), VISITOR, everywhere=1)


def test_the_limit_is_named() -> None:
    assert str(HandshakeTimeoutError(seconds=5.0)).startswith("handshakeTimeout exceeded: no relay after 5 seconds")
