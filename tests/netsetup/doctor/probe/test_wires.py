"""What is wired is seen in test_probing; here: what happens when it cannot be."""

import pytest

from netsetup.doctor.probe.attempts import Attempt
from netsetup.doctor.probe.wires import Wires, WiringError, in_use, run
from tests.netsetup.world import CLIENT, SERVER, World, inside

ATTEMPT = Attempt(
    title="x",
    family=4,
    iif="eth9",
    source="198.18.0.1",
    destination="198.18.0.2",
    port=80,
    own_server=True,
    keeps_source=False,
)


def test_a_command_that_fails_is_named_with_its_reason() -> None:
    with pytest.raises(WiringError, match=r"^sh -c exit 3: sh ended with status 3$"):
        run("sh", "-c", "exit 3")


@pytest.mark.root
def test_what_cannot_be_wired_and_who_has_an_address() -> None:
    with World() as world:

        def unknown_interface() -> None:
            before = run("ip", "link", "show")
            with pytest.raises(WiringError, match="eth9"):
                Wires(ATTEMPT)
            assert run("ip", "link", "show") == before

        def addresses() -> None:
            assert in_use(CLIENT[4], 4)
            assert in_use(SERVER[6], 6)
            assert not in_use("192.0.2.200", 4)
            assert not in_use("203.0.113.1", 4)

        inside(world.gateway, addresses)
        inside(world.gateway, unknown_interface)
