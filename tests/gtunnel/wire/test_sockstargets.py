import pytest

from gtunnel.address import HostPort, SocketAddress
from gtunnel.wire.sockstargets import admitted
from gtunnel.wire.sockswords import RefusedTargetError

INSIDE, OUTSIDE = SocketAddress("127.0.0.1", 80), SocketAddress("192.0.2.1", 80)


def test_a_name_with_an_address_inside_is_reached_outside() -> None:
    assert admitted(HostPort("name", 80), (INSIDE, OUTSIDE)) == (OUTSIDE,)


def test_a_name_with_no_other_address_is_refused() -> None:
    with pytest.raises(RefusedTargetError, match="name:80 rejected"):
        admitted(HostPort("name", 80), (INSIDE,))
