"""What is told around a handshake, and who is redirected: over real sockets, in this process."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from gtunnel.address import HostPort
from gtunnel.net import opening
from gtunnel.net.legs import PlainLeg
from gtunnel.net.loops import LoopGuard
from gtunnel.net.names import Target
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import HandshakeError
from gtunnel.tunnel import securing
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.revocation import RevokedError
from gtunnel.tunnel.securing import Secured, Tools
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support.certificates import Pki
from tests.support.tls import client_context, server_context

Shake = Callable[[str, ssl.SSLContext], Secured]


@pytest.fixture
def log() -> ListLog:
    return ListLog()


@pytest.fixture
def shake(log: ListLog) -> Iterator[Shake]:
    """Take one side of a handshake with a service's lines; the other side is Python's own."""
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []
    wakeup = Wakeup()

    def peer(sock: socket.socket, context: ssl.SSLContext, *, server: bool) -> None:
        try:
            name = None if server else "localhost"
            with context.wrap_socket(sock, server_side=server, server_hostname=name) as secure:
                secure.recv(1)
        except OSError:
            return

    def run(text: str, context: ssl.SSLContext) -> Secured:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.settimeout(10)
        ends.extend((near, far))
        compiled = compile_service(service(text), None, LoopGuard(), log)
        client = compiled.settings.client
        threads.append(threading.Thread(target=peer, args=(far, context), kwargs={"server": client}))
        threads[-1].start()
        workplace = Workplace(SharedCounter())
        tools = Tools(workplace, wakeup, log)
        leg = PlainLeg(near, wakeup)
        try:
            if client:
                address = HostPort("127.0.0.1", 1).literal
                assert address is not None
                return securing.connect(compiled, leg, Target(address, "localhost"), tools)
            return securing.accept(compiled, leg, opening.receive(leg, wakeup, workplace.scratch, 10), tools, 10)
        finally:
            leg.close(reset=False)

    yield run
    for thread in threads:
        thread.join()
    for end in ends:
        end.close()
    wakeup.close()


def serving(pki: Pki, *lines: str) -> str:
    head = ("accept = 1", "connect = 2", f"cert = {pki.server.cert}", f"key = {pki.server.key}")
    return "\n".join((*head, *lines))


def test_a_client_is_accepted_and_told(shake: Shake, log: ListLog, pki: Pki) -> None:
    secured = shake(serving(pki), client_context(str(pki.ca)))
    assert not secured.unconvincing
    assert "Peer certificate not required" in log.texts
    assert "TLS accepted: new session negotiated" in log.texts


@pytest.mark.parametrize("shows_nothing", [True, False])
def test_who_does_not_convince_is_redirected(shake: Shake, log: ListLog, pki: Pki, *, shows_nothing: bool) -> None:
    lines = serving(pki, f"CAfile = {pki.ca}", "verifyChain = yes", "redirect = 3")
    visitor = None if shows_nothing else pki.stranger_client
    assert shake(lines, client_context(str(pki.ca), visitor)).unconvincing
    assert log.texts[-1] == "Redirecting connection"


def test_who_convinces_is_not(shake: Shake, log: ListLog, pki: Pki) -> None:
    lines = serving(pki, f"CAfile = {pki.ca}", "verifyChain = yes", "redirect = 3")
    assert not shake(lines, client_context(str(pki.ca), pki.client)).unconvincing
    assert "Redirecting connection" not in log.texts


def test_a_failure_is_explained_after_what_verification_said(shake: Shake, log: ListLog, pki: Pki) -> None:
    lines = serving(pki, f"CAfile = {pki.ca}", "verifyChain = yes")
    with pytest.raises(HandshakeError) as caught:
        shake(lines, client_context(str(pki.ca), pki.stranger_client))
    assert "SSL_accept: SSL routines::certificate verify failed: Pre-verification error: " in str(caught.value)
    assert any(text.startswith("Rejected by CERT at depth=") for text in log.texts)


@pytest.mark.parametrize("redirects", [True, False])
def test_a_session_that_outlives_its_certificate_convinces_nobody(
    shake: Shake, log: ListLog, pki: Pki, monkeypatch: pytest.MonkeyPatch, *, redirects: bool
) -> None:
    monkeypatch.setattr(TlsEngine, "outlived", property(lambda _: True))
    lines = serving(pki, f"CAfile = {pki.ca}", "verifyChain = yes", *(("redirect = 3",) if redirects else ()))
    if redirects:
        assert shake(lines, client_context(str(pki.ca), pki.client)).unconvincing
    else:
        with pytest.raises(RevokedError):
            shake(lines, client_context(str(pki.ca), pki.client))
    assert "CERT: certificate has expired (in a resumed session)" in log.texts


def test_a_server_is_accepted_and_told(shake: Shake, log: ListLog, pki: Pki) -> None:
    text = f"client = yes\naccept = 1\nconnect = 2\nCAfile = {pki.ca}\nverifyChain = yes\ncheckHost = localhost"
    shake(text, server_context(pki.server))
    assert "SNI: sending servername: localhost" in log.texts
    assert "TLS connected: new session negotiated" in log.texts
