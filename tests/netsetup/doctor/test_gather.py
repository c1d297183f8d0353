"""What is found out on a real gateway; what it is made of, test_checkup sees."""

from pathlib import Path

import pytest

from netsetup.doctor import programs
from netsetup.doctor.facts import Question
from netsetup.doctor.gather import ask, gather
from netsetup.errors import NetworkReadError
from netsetup.model import Method
from netsetup.state import Family, Mark
from tests.netsetup.doctor.cases import capturing
from tests.netsetup.world import World, inside


@pytest.mark.root
def test_the_facts_of_a_gateway(tmp_path: Path) -> None:
    with World() as world:
        world.run(world.gateway, "ip -4 rule add pref 800 not fwmark 7 lookup main")

        def check() -> None:
            found = gather(capturing(Method.TPROXY, interfaces=("eth1",)), tmp_path)
            assert found.drift
            assert [one.name for one in found.interfaces] == ["lo", "eth1", "eth2"]
            assert found.interfaces[1].kind == "veth"
            assert found.is_own("2001:db8:1::1")
            assert found.tracking is not None
            assert {
                rule.priority: (rule.mark, rule.inverted) for rule in found.rules if rule.family is Family.IPV4
            } == {
                0: (None, False),
                800: (Mark(7, 0xFFFFFFFF), True),
                900: (Mark(0x10000, 0xFF0000), False),
                32766: (None, False),
                32767: (None, False),
            }
            assert found.sysctls["net/ipv4/conf/eth1/rp_filter"] == "0"
            assert found.chains
            assert found.collisions == ()
            answer = found.answers[Question(family=Family.IPV4, destination="192.0.2.2")]
            assert (answer.interface, answer.source, answer.local) == ("eth1", "192.0.2.1", False)
            assert ask(Question(family=Family.IPV4, destination="203.0.113.1")).error == "Network is unreachable"
            assert ask(Question(family=Family.IPV6, destination="2001:db8:1::1")).local

        inside(world.gateway, check)


@pytest.mark.root
def test_without_ip_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "output", lambda *argv: (127, "", f"{argv[0]} is not installed"))
    with pytest.raises(NetworkReadError, match="ip is not installed"):
        gather(capturing(), tmp_path)
