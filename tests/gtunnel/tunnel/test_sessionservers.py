"""A worker finds where a service's sessions are kept."""

import pytest

from gtunnel.net.loops import LoopGuard
from gtunnel.tls.openssl import sessions
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.resumption import ServerResumption
from gtunnel.tunnel.sessionservers import SessionServers
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support.certificates import Pki


def of(text: str) -> ServerResumption | None:
    compiled = compile_service(service(text), None, LoopGuard(), ListLog())
    servers = SessionServers()
    found = servers.of(compiled)
    assert servers.of(compiled) is found
    return found


def lines(pki: Pki, more: str = "") -> str:
    return f"accept = 1\nconnect = 2\ncert = {pki.server.cert}\nkey = {pki.server.key}\n{more}\n"


def test_a_client_service_has_none(pki: Pki) -> None:
    assert of("client = yes\naccept = 1\nconnect = 2\n") is None
    assert of(lines(pki, "sessionResume = no")) is None


@pytest.mark.skipif(not sessions.CAN_OFFER, reason="this OpenSSL is linked statically into the bindings")
@pytest.mark.parametrize("more", ["", "sessiond = 127.0.0.1:1", "sessiond = redis://127.0.0.1:1"])
def test_a_server_service_has_one(pki: Pki, more: str) -> None:
    found = of(lines(pki, more))
    assert isinstance(found, ServerResumption)
