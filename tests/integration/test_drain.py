"""`drainTimeout`: what is left of a connection after a reload."""

import signal
from collections.abc import Callable

import pytest

from tests.support import tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]

RELOADED = "Configuration successful"


@pytest.mark.parametrize(("seconds", "ends"), [(2, True), (0, False), (None, False)])
def test_a_connection_from_before_a_reload_goes_on_until_its_time_is_over(
    gtunnel: Tunnels, echo: Server, pki: Pki, free_port: PortFactory, seconds: int | None, ends: bool
) -> None:
    port = free_port()
    line = "" if seconds is None else f"drainTimeout = {seconds}\n"
    section = f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {pki.server.pem}\n"
    running = gtunnel(f"{line}{section}")
    with tls.connect(port, tls.client_context(str(pki.ca))) as old:
        old.send(b"before")
        assert old.receive_exactly(6) == b"before"
        running.send(signal.SIGHUP)
        running.wait_for(RELOADED, times=2)
        old.send(b"during")
        assert old.receive_exactly(6) == b"during"
        if ends:
            running.wait_for("drainTimeout exceeded: 1 connections from before the reload end")
            with pytest.raises((ConnectionError, tls.TruncatedError)):
                old.receive_all()
        else:
            with pytest.raises(AssertionError):
                running.wait_for("drainTimeout", timeout=3)
            old.send(b"after")
            assert old.receive_exactly(5) == b"after"
        with tls.connect(port, tls.client_context(str(pki.ca))) as new:
            new.send(b"new")
            assert new.receive_exactly(3) == b"new"
