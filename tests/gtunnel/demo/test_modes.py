"""Each mode's picture has the right addresses, and a wrong one is never shown as right."""

from pathlib import Path

import pytest

from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import CaptureMethod, Transparency
from gtunnel.demo import modes
from gtunnel.demo.certificate import SelfSigned, make
from gtunnel.demo.errors import DemoError
from gtunnel.demo.web import Sight
from netsetup.lab import Lab

SCENES = [
    modes.Scene(mode="source", method=None, backend="nftables"),
    modes.Scene(mode="destination", method="redirect", backend="iptables"),
    modes.Scene(mode="both", method="tproxy", backend="auto"),
]
EACH = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: str(scene.mode))


@EACH
def test_the_configuration_is_understood(scene: modes.Scene, tmp_path: Path) -> None:
    services = parse_text(scene.configuration(make(tmp_path, "server", ()))).services
    assert {service.transparency for service in services} == {Transparency(scene.mode)}
    captures = [service.capture for service in services]
    if scene.captures:
        assert [capture.method for capture in captures if capture] == [CaptureMethod(scene.method)]
    else:
        assert captures == [None, None]


@pytest.mark.root
@EACH
def test_who_saw_what(scene: modes.Scene, lab: Lab, tmp_path: Path) -> None:
    said: list[str] = []
    modes.show(said.append, tmp_path, lab, scene)
    rows = [line.split() for line in said if " ->  " in line]
    assert [row[0] for row in rows] == ["client", "gtunnel", "server"] * 2
    for (client, gtunnel, server), ours, gateways, target in zip(
        (rows[:3], rows[3:]),
        ("192.0.2.2", "[2001:db8:1::2]"),
        ("198.51.100.1", "[2001:db8:2::1]"),
        ("198.51.100.2:80", "[2001:db8:2::2]:80"),
        strict=True,
    ):
        # The client and gtunnel agree on both ends, and the server sees whom it should.
        assert client[1].startswith(ours)
        assert client[1:4] == gtunnel[1:4]
        assert server[3] == target
        assert server[1].startswith(ours if scene.mode != "destination" else gateways)
        if scene.captures:
            assert client[3] == target
    assert "Traceback" not in (tmp_path / "gtunnel.log").read_text()


@pytest.mark.root
def test_a_wrong_address_is_no_success(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gtunnel that forgets the client's address."""
    forgetful = modes.Scene.configuration

    def without(scene: modes.Scene, certificate: SelfSigned) -> str:
        return forgetful(scene, certificate).replace("transparent = both", "transparent = destination")

    monkeypatch.setattr(modes.Scene, "configuration", without)
    with pytest.raises(DemoError, match="not what it should be"):
        modes.show(lambda _: None, tmp_path, lab, SCENES[2])


def test_the_picture_of_both() -> None:
    access = {"client": "192.0.2.2:1", "destination": "198.51.100.2:80", "target": "198.51.100.2:80"}
    visit = modes.Visit(
        ours="192.0.2.2:1",
        wanted="198.51.100.2:80",
        access={**access, "tls": "TLSv1.3", "cipher": "X"},
        server=Sight(client="192.0.2.2:22", server="198.51.100.2:80", security="TLSv1.3, X"),
    )
    assert modes.picture(visit, SCENES[2]) == (
        "client    192.0.2.2:1   ->  198.51.100.2:80   what the client thinks",
        "   |      plain HTTP",
        "gtunnel   192.0.2.2:1   ->  198.51.100.2:80   what gtunnel sees",
        "          gtunnel finds that in the socket itself, which has the server's address",
        "   #      TLSv1.3, X",
        "server    192.0.2.2:22  ->  198.51.100.2:80   what the server sees: the client's own address",
    )
