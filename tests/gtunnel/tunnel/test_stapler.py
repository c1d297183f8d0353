from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from cryptography.x509 import ocsp
from OpenSSL import SSL

from gtunnel.conf.settings import VirtualName
from gtunnel.net.loops import LoopGuard
from gtunnel.net.responders import Responders
from gtunnel.tunnel import stapler
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.stapler import Stapler
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support.revocation import Holder, Responder, Saying, answer, issue, root


class World:
    """A CA, a server's certificate, its responder, and services that present it."""

    def __init__(self, directory: Path, reply: Callable[[], bytes] | None = None) -> None:
        self.ca = root()
        self.reply = reply or (lambda: answer(self.leaf, self.ca))
        self.responder = Responder(lambda _: self.reply())
        self.leaf: Holder = issue(self.ca, "leaf", responders=[self.responder.url])
        self.log = ListLog()
        chain = self.leaf.identity(directory, "leaf")
        ca_file = directory / "ca.pem"
        ca_file.write_bytes(self.ca.identity(directory, "ca").cert.read_bytes())
        self._lines = f"accept = 1\nconnect = 2\ncert = {chain.pem}\nCAfile = {ca_file}\nTIMEOUTocsp = 1\n"

    def service(self, lines: str = "OCSPaia = yes") -> Service:
        """A service."""
        return compile_service(service(self._lines + lines), None, LoopGuard(), self.log)

    def waits_for(self, text: str, times: int = 1) -> None:
        """Let others run until a line is logged."""
        with gevent.Timeout(10):
            while sum(text in line for line in self.log.texts) < times:
                gevent.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One that answers."""
    made = World(tmp_path)
    with made.responder:
        yield made


def offered(made: Service) -> bytes:
    """What it would staple now."""
    assert made.tls.served is not None
    return made.tls.served.offer(SSL.Connection(made.tls.context, None).get_certificate())


def test_services_with_the_same_certificate_share_an_answer(world: World) -> None:
    services = [world.service(), world.service(), world.service()]
    running = Stapler([*services, services[0]], Responders())
    assert [offered(one) for one in services] == [b"", b"", b""]
    running.start()
    world.waits_for(f"Service [test]: OCSP: Stapling the answer of {world.responder.url}", times=3)
    assert len({offered(one) for one in services}) == 1
    assert offered(services[0])
    assert len(world.responder.requests) == 1
    running.stop()


def test_services_behind_names_staple_too(world: World) -> None:
    primary, secondary = world.service("OCSPaia = no"), world.service()
    running = Stapler([replace(primary, virtual=((VirtualName("test", "x"), secondary),))], Responders())
    running.start()
    world.waits_for("Stapling")
    running.stop()
    assert offered(secondary)


def test_answers_are_renewed_before_they_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stapler, "MIN_SECONDS", 0.02)
    minute = 1 / 24 / 60
    world.reply = lambda: answer(world.leaf, world.ca, Saying(begins=-1.0, ends=-minute))
    running = Stapler([world.service()], Responders())
    running.start()
    world.waits_for("Stapling", times=3)
    running.stop()
    gevent.sleep(0)
    asked = len(world.responder.requests)
    gevent.sleep(0.1)
    assert len(world.responder.requests) == asked


def test_a_failure_is_told_once_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stapler, "RETRY_SECONDS", 0.02)
    good = world.reply
    world.reply = lambda: b"rubbish"
    made = world.service()
    running = Stapler([made], Responders())
    running.start()
    world.waits_for("nothing new to staple", times=3)
    levels = [level.name for level, text in world.log.lines if "nothing new" in text]
    assert levels[:3] == ["WARNING", "DEBUG", "DEBUG"]
    world.reply = good
    world.waits_for("Stapling")
    running.stop()
    assert offered(made)


def test_a_responder_for_the_clients_need_not_know_our_certificate(world: World) -> None:
    world.reply = lambda: b"rubbish"
    running = Stapler([world.service(f"OCSP = {world.responder.url}")], Responders())
    running.start()
    world.waits_for("nothing new to staple")
    running.stop()
    assert [level.name for level, text in world.log.lines if "nothing new" in text] == ["INFO"]


def test_a_revoked_certificate_of_our_own_is_told(world: World) -> None:
    world.reply = lambda: answer(world.leaf, world.ca, Saying(status=ocsp.OCSPCertStatus.REVOKED))
    made = world.service()
    running = Stapler([made], Responders())
    running.start()
    world.waits_for("says that our own certificate was revoked: nothing is stapled")
    running.stop()
    assert offered(made) == b""


def test_who_staples_nothing_asks_nobody(world: World) -> None:
    running = Stapler([world.service("OCSPaia = no")], Responders())
    running.start()
    gevent.sleep(0.05)
    assert not world.responder.requests
    running.stop()
