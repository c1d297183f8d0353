from netsetup.doctor.packet import Truth
from netsetup.doctor.probe.hops import Hop, Probed, Probes


def probed(*states: Truth) -> Probed:
    hops = tuple(Hop(name=f"hop{number}", state=state, text="seen") for number, state in enumerate(states))
    return Probed(title="[web] IPv4", hops=hops)


def test_what_is_not_known_is_no_failure() -> None:
    assert not Probes.of([probed(Truth.YES, Truth.UNKNOWN)]).failed
    assert Probes.of([probed(Truth.YES), probed(Truth.YES, Truth.NO)]).failed


def test_for_people_and_for_programs() -> None:
    one = probed(Truth.YES, Truth.NO)
    assert Probes.of([one]).lines() == (
        "probe: [web] IPv4",
        "    hop0:      ok         seen",
        "    hop1:      FAILED     seen",
    )
    assert one.as_dict() == {
        "title": "[web] IPv4",
        "hops": [
            {"name": "hop0", "state": "yes", "text": "seen"},
            {"name": "hop1", "state": "no", "text": "seen"},
        ],
    }
