"""Where a journey ends on gateways is seen in test_probing; here: what it makes of what it sees of sockets."""

from types import SimpleNamespace
from typing import Any

import pytest

from netsetup.doctor.facts import Owner
from netsetup.doctor.packet import Truth
from netsetup.doctor.probe import journey
from netsetup.doctor.probe.attempts import Attempt
from netsetup.doctor.probe.counters import Counted
from netsetup.doctor.probe.journey import Journey
from netsetup.kernel.sockdiag import ESTABLISHED, SYN_SENT, TcpSocket
from netsetup.state import Family

CLIENT = ("198.18.0.1", 4000)
SERVER = ("198.18.0.2", 80)
OWNER = Owner(pid=77, name="gtunnel", may_be_transparent=True)


def sock(local: tuple[str, int], peer: tuple[str, int], inode: int = 5, state: int = ESTABLISHED) -> TcpSocket:
    return TcpSocket(
        family=Family.IPV4, state=state, host=local[0], port=local[1], peer=peer[0], peer_port=peer[1], inode=inode
    )


class Scene:
    """A journey whose ends and kernel are made up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **attempt: Any) -> None:
        self.sockets: list[TcpSocket] = []
        monkeypatch.setattr(journey, "tcp_sockets", lambda *_: tuple(self.sockets))
        monkeypatch.setattr(journey, "owners", lambda inodes: {5: (OWNER,)} if 5 in inodes else {})
        self.counted = Counted()
        monkeypatch.setattr(journey, "count", lambda *_: self.counted)
        monkeypatch.setattr(journey, "_PATIENCE", 0.01)
        monkeypatch.setattr(journey, "_QUIET", 0.01)
        self.client = SimpleNamespace(
            port=CLIENT[1],
            ended="",
            received=b"",
            speaks_tls=False,
            turn=lambda: None,
            connected=lambda: True,
            begin=lambda: None,
            close=lambda: None,
            speak_tls=self._speak,
        )
        self.server = SimpleNamespace(peers=[], was_asked_for_tls=False, turn=lambda: None, close=lambda: None)
        self.server.greet, self.server.received = lambda: None, b""
        monkeypatch.setattr(journey, "Client", lambda *_: self.client)
        monkeypatch.setattr(journey, "Server", lambda *_: self.server)
        room = SimpleNamespace(call=lambda _home, function: function())
        wires = SimpleNamespace(client=room, server=room, home=None, packets_sent=lambda: 1)
        settings = {"own_server": True, "keeps_source": True, **attempt}
        self.attempt = Attempt(
            title="x", family=4, iif="eth1", source=CLIENT[0], destination=SERVER[0], port=SERVER[1], **settings
        )
        self.journey = Journey(self.attempt, wires)  # type: ignore[arg-type]

    def _speak(self) -> None:
        self.client.speaks_tls = True

    def last(self) -> tuple[str, Truth, str]:
        """The hop that it ends with."""
        *_, hop = self.journey.hops()
        return hop.name, hop.state, hop.text


def test_straight_to_the_server_is_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.server.peers.append(CLIENT)
    assert scene.last() == ("captured", Truth.NO, "it went past the proxy, straight to 198.18.0.2:80")


def test_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.client.connected, scene.client.ended = lambda: False, "Connection refused"
    assert scene.last()[:2] == ("captured", Truth.NO)
    assert "answered by RST" in scene.last()[2]


@pytest.mark.parametrize(
    ("counted", "text"),
    [
        (Counted(), "our rules have seen nothing"),
        (Counted(taken=1), "our rules took packets meanwhile"),
        (Counted(taken=1, dropped=1), "rules of ours dropped packets meanwhile"),
    ],
)
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, counted: Counted, text: str) -> None:
    scene = Scene(monkeypatch)
    scene.client.connected = lambda: False
    scene.counted = counted
    name, state, said = scene.last()
    assert (name, state) == ("captured", Truth.NO)
    assert text in said


def test_answered_by_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Scene(monkeypatch, own_server=False).last()[2].startswith("somebody else answered")


def test_nobody_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT, inode=0)]
    assert scene.last()[:2] == ("accepted", Truth.NO)


def test_it_may_wait_for_something_that_the_probe_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT)]
    assert scene.last()[:2] == ("connected", Truth.UNKNOWN)
    assert scene.client.speaks_tls


def test_it_connects_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT), sock(("192.0.2.1", 5000), ("203.0.113.9", 443))]
    name, state, text = scene.last()
    assert (name, state) == ("connected", Truth.UNKNOWN)
    assert text.startswith("it connected to 203.0.113.9:443")


def test_not_from_the_client_s_address(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT), sock(("198.51.100.1", 5000), SERVER)]
    assert scene.last()[:2] == ("connected", Truth.NO)


def test_the_server_s_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT), sock((CLIENT[0], 5000), SERVER, state=SYN_SENT)]
    assert scene.last()[:2] == ("answered", Truth.NO)
    scene.server.peers.append((CLIENT[0], 5000))
    assert scene.last()[2].endswith("it has answered, and the answer did not reach the proxy")


def test_tls_to_the_server_is_as_far_as_the_probe_can_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT), sock((CLIENT[0], 5000), SERVER)]
    scene.server.peers.append((CLIENT[0], 5000))
    scene.server.was_asked_for_tls = True
    name, state, text = scene.last()
    assert (name, state) == ("returned", Truth.UNKNOWN)
    assert text.startswith("the proxy speaks TLS to the server")


def test_the_whole_way(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.sockets = [sock(SERVER, CLIENT), sock((CLIENT[0], 5000), SERVER)]
    scene.server.peers.append((CLIENT[0], 5000))
    scene.client.received = b"hello"
    assert [hop.name for hop in scene.journey.hops()] == [
        "sent",
        "captured",
        "accepted",
        "connected",
        "answered",
        "returned",
    ]
