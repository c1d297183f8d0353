"""The contract of a firewall backend, as tests: a class to inherit from, with `make_backend` filled in.

Everything runs in a namespace that has rules of others in it, and these must not change.
"""

from collections.abc import Iterator

import pytest

from netsetup.backends.contract import FirewallBackend
from netsetup.errors import FirewallError
from netsetup.model import Capture, Interception, Listener, Method, Request, Target
from netsetup.modes.build import desired
from netsetup.state import Chain, Family, Jump, Rule, Table
from tests.netsetup.world import World, inside

_EVERY_KIND = Request(
    interceptions=(
        Interception(
            name="all of it",
            listeners=(Listener(host="127.0.0.1", port=1), Listener(host="::1", port=1)),
            source=True,
            capture=Capture(
                ports=((1, 1), (2, 65535)),
                interfaces=("eth0",),
                from_networks=("192.0.2.0/24", "0.0.0.0/0", "::/0"),
                to_networks=("192.0.2.7/32", "2001:db8::/32"),
                exclude=("192.0.2.1/32", "2001:db8::1/128"),
                local=True,
                method=Method.TPROXY,
            ),
            targets=(Target(host="192.0.2.3", port=1),),
        ),
        Interception(
            name="redirected",
            listeners=(Listener(host="127.0.0.1", port=2), Listener(host="2001:db8::2", port=2)),
            source=False,
            capture=Capture(ports=((3, 3),), interfaces=("eth0",), local=True, method=Method.REDIRECT),
        ),
        Interception(
            name="wild",
            listeners=(Listener(host="0.0.0.0", port=2), Listener(host="::", port=2)),
            source=False,
            capture=Capture(ports=((3, 3),), method=Method.REDIRECT),
        ),
        Interception(
            name="wild tproxy",
            listeners=(Listener(host="0.0.0.0", port=2), Listener(host="::", port=2)),
            source=False,
            capture=Capture(ports=((3, 3),)),
        ),
    )
)
EVERYTHING = desired(_EVERY_KIND).chains
"""Every match and verdict there is, in both families."""

LITTLE = desired(Request(interceptions=_EVERY_KIND.interceptions[3:])).chains


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.mark.root
class BackendContract:
    """Inherit, and say how to make one."""

    def make_backend(self, instance: str) -> FirewallBackend:
        """A backend, not yet entered."""
        raise NotImplementedError

    def _write(self, backend: FirewallBackend, chains: tuple[Chain, ...]) -> None:
        image = backend.render(chains)
        for unit in sorted({*image, *backend.read()}):
            backend.write(unit, image.get(unit))

    def _refused(self, backend: FirewallBackend, chains: tuple[Chain, ...]) -> None:
        """Either when rendering, or when writing the one unit that changes."""
        try:
            image = backend.render(chains)
        except FirewallError:
            return
        changed = [unit for unit, content in image.items() if content != backend.read().get(unit)]
        assert len(changed) == 1
        with pytest.raises(FirewallError):
            backend.write(changed[0], image[changed[0]])

    def _run(self, world: World, *wanted: tuple[Chain, ...]) -> None:
        """Write each, in turn, and read it back in another backend object."""

        def work() -> None:
            for chains in wanted:
                with self.make_backend("gtunnel") as backend:
                    self._write(backend, chains)
                with self.make_backend("gtunnel") as backend:
                    assert dict(backend.read()) == dict(backend.render(chains))

        inside(world.gateway, work)

    def test_what_was_written_is_read_back_alike(self, world: World) -> None:
        before = world.snapshot()
        self._run(world, EVERYTHING)
        assert world.snapshot() != before
        self._run(world, ())
        assert world.snapshot() == before

    def test_one_state_replaces_another(self, world: World) -> None:
        before = world.snapshot()
        self._run(world, LITTLE)
        little = world.snapshot()
        self._run(world, EVERYTHING, LITTLE)
        assert world.snapshot() == little
        self._run(world, ())
        assert world.snapshot() == before

    def test_writing_nothing_where_nothing_is_changes_nothing(self, world: World) -> None:
        before = world.snapshot()
        self._run(world, (), ())
        assert world.snapshot() == before

    def test_other_instances_are_invisible(self, world: World) -> None:
        def work() -> None:
            with self.make_backend("gtunnel") as one, self.make_backend("gtunnel-2") as other:
                self._write(one, LITTLE)
                assert dict(other.read()) == {}
                self._write(other, LITTLE)
                self._write(one, ())
                assert dict(one.read()) == {}
                assert dict(other.read()) == dict(other.render(LITTLE))
                self._write(other, ())

        before = world.snapshot()
        inside(world.gateway, work)
        assert world.snapshot() == before

    def test_a_refused_unit_keeps_what_it_had(self, world: World) -> None:
        """A jump to a chain that is not there: no backend can write that."""
        broken = Chain(family=Family.IPV4, table=Table.MANGLE, name="bad", rules=(Rule(verdict=Jump("nowhere")),))

        def work() -> None:
            with self.make_backend("gtunnel") as backend:
                self._write(backend, LITTLE)
            with self.make_backend("gtunnel") as backend:
                self._refused(backend, (*LITTLE, broken))
            with self.make_backend("gtunnel") as backend:
                assert dict(backend.read()) == dict(backend.render(LITTLE))
                self._write(backend, ())

        before = world.snapshot()
        inside(world.gateway, work)
        assert world.snapshot() == before

    def test_images_are_readable(self) -> None:
        image = self.make_backend("gtunnel").render(EVERYTHING)
        for content in image.values():
            assert content.lines
            assert all(line == line.strip() and line.isprintable() for line in content.lines)
