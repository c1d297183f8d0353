"""A program as a service's client."""

from collections.abc import Callable
from time import monotonic

import gevent
import pytest

from gtunnel.net.loops import LoopGuard
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.programclients import ProgramClients
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support import tls
from tests.support.certificates import Pki
from tests.support.servers import Server

PATIENCE = 15.0


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline
        gevent.sleep(0.02)


def compiled(text: str, log: ListLog) -> Service:
    return compile_service(service(text), None, LoopGuard(), log)


@pytest.fixture
def backend(server: Callable[..., Server], pki: Pki) -> Server:
    return server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))


def test_it_is_connected_through_tls_and_ends_with_its_connection(backend: Server) -> None:
    log = ListLog()
    text = f"client = yes\nconnect = {backend.endpoint}\nexec = /bin/sh\nexecArgs = sh -c exit"
    clients = ProgramClients([compiled(text, log)], Workplace(SharedCounter()))
    clients.start()
    assert log.texts[0] == "Starting exec+connect service [test]"
    until(clients.drained)
    assert "Connection closed: 0 byte(s) sent to TLS, 0 byte(s) sent to socket" in log.texts
    clients.stop()


def test_it_is_started_again_until_it_is_stopped(backend: Server) -> None:
    log = ListLog()
    text = f"client = yes\nconnect = {backend.endpoint}\nexec = /bin/true\nretry = 10"
    workplace = Workplace(SharedCounter())
    clients = ProgramClients([compiled(text, log)], workplace)
    clients.start()
    until(lambda: log.texts.count("Retrying an exec+connect section") >= 2)
    clients.stop()
    until(clients.drained)
    until(lambda: not workplace.programs.running)
    started = len([line for line in log.texts if line.startswith("Local mode child started")])
    gevent.sleep(0.1)
    assert len([line for line in log.texts if line.startswith("Local mode child started")]) == started


def test_a_target_that_is_away_is_tried_again(free_port: Callable[[], int]) -> None:
    log = ListLog()
    text = f"client = yes\nconnect = {free_port()}\nexec = /bin/cat\nretry = 10"
    workplace = Workplace(SharedCounter())
    clients = ProgramClients([compiled(text, log)], workplace)
    clients.start()
    until(lambda: log.texts.count("No more addresses to connect") >= 2)
    clients.stop()
    until(lambda: not workplace.programs.running)


def test_others_are_left_alone(backend: Server) -> None:
    log = ListLog()
    text = f"client = yes\naccept = 1\nconnect = {backend.endpoint}"
    clients = ProgramClients([compiled(text, log)], Workplace(SharedCounter()))
    clients.start()
    assert clients.drained()
    assert log.texts == []
