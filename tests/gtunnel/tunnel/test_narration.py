"""What the log says around a handshake."""

from gtunnel.events import Level, SilentLog
from gtunnel.net.loops import LoopGuard
from gtunnel.tls.engine import TlsEngine
from gtunnel.tunnel import narration
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.service import Service
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.gtunnel.tls.pairs import drain
from tests.support.certificates import Pki


def compiled(text: str) -> Service:
    return compile_service(service(text), None, LoopGuard(), SilentLog())


def shake_hands(client: TlsEngine, server: TlsEngine) -> None:
    done = [False, False]
    while not all(done):
        for index, (one, other) in enumerate(((client, server), (server, client))):
            done[index] = one.handshake()
            other.feed(drain(one))


def test_before_it_the_name_that_is_sent_and_the_certificate_that_is_demanded(pki: Pki) -> None:
    log = ListLog()
    client = compiled(f"client = yes\naccept = 1\nconnect = 2\nverifyChain = yes\nCAfile = {pki.ca}")
    narration.before_handshake(client, "www.example.org", log)
    assert log.texts == ["SNI: sending servername: www.example.org", "Peer certificate required"]


def test_a_literal_is_never_sent_as_a_name() -> None:
    log = ListLog()
    narration.before_handshake(compiled("client = yes\naccept = 1\nconnect = 2"), "192.0.2.1", log)
    assert log.texts == ["Peer certificate not required"]


def test_after_it_what_was_agreed_on(pki: Pki) -> None:
    server = compiled(f"accept = 1\nconnect = 2\ncert = {pki.server.pem}").tls.engine()
    client = compiled("client = yes\naccept = 1\nconnect = 2").tls.engine("localhost")
    shake_hands(client, server)
    log = ListLog()
    narration.after_handshake(client, log, client=True)
    assert log.texts[0] == "TLS connected: new session negotiated"
    assert log.texts[1].startswith("TLSv1.3 ciphersuite: TLS_AES_256_GCM_SHA384 (256-bit")
    log = ListLog()
    narration.after_handshake(server, log, client=False)
    assert log.texts[:2] == ["No peer certificate received", "TLS accepted: new session negotiated"]


def test_nothing_is_asked_of_openssl_for_lines_that_nobody_reads() -> None:
    client = compiled("client = yes\naccept = 1\nconnect = 2").tls.engine()
    log = ListLog(Level.NOTICE)
    # Before a handshake there is nothing that could be told: it would fail.
    narration.after_handshake(client, log, client=True)
    assert log.texts == []
