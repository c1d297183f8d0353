"""apply, status, destroy on a real kernel: desired state, exact restoration. Crashes: test_crashes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netsetup import api
from netsetup.errors import (
    BackendError,
    CapabilityError,
    CollisionError,
    FirewallError,
    LockError,
    NamespaceError,
    RequestError,
    StepError,
)
from netsetup.ledger import lock
from netsetup.model import Backend, Capture, Interception, Marks, Method, Request
from tests.netsetup.rich import LISTENERS, RICH
from tests.netsetup.world import ROOT, World

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.fixture
def clean(world: World, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The gateway's state before the test, which it has to have again after it."""
    before = world.snapshot()
    yield before
    api.destroy("gtunnel", world.gateway, directory=tmp_path)
    assert world.snapshot() == before


@pytest.fixture(params=[Backend.NFTABLES, Backend.IPTABLES], ids=lambda backend: str(backend.value))
def rich(request: pytest.FixtureRequest) -> Request:
    """RICH, with each backend."""
    return replace(RICH, backend=request.param)


def test_applying_twice_changes_nothing_and_destroying_restores_all(
    world: World, rich: Request, clean: dict[str, str], tmp_path: Path
) -> None:
    planned = api.plan(rich, world.gateway, directory=tmp_path)
    assert not api.status(rich, world.gateway, directory=tmp_path).in_sync
    assert api.apply(rich, world.gateway, dry_run=True, directory=tmp_path).steps == planned.steps
    assert world.snapshot() == clean
    assert list(tmp_path.glob("*.json")) == []

    first = api.apply(rich, world.gateway, directory=tmp_path)
    assert first.changed
    assert first.steps == planned.steps
    applied = world.snapshot()
    assert applied != clean
    assert api.status(rich, world.gateway, directory=tmp_path).in_sync

    again = api.apply(rich, world.gateway, directory=tmp_path)
    assert not again.changed
    assert again.lines()[-1] == "apply: nothing to do"
    assert world.snapshot() == applied

    told = api.destroy("gtunnel", world.gateway, dry_run=True, directory=tmp_path)
    assert world.snapshot() == applied
    assert api.destroy("gtunnel", world.gateway, directory=tmp_path).steps == told.steps
    assert world.snapshot() == clean
    assert list(tmp_path.glob("*.json")) == []
    assert not api.destroy("gtunnel", world.gateway, directory=tmp_path).changed


def test_what_a_plan_says_of_iptables_can_be_pasted(world: World, clean: dict[str, str], tmp_path: Path) -> None:
    """Into the firewall that we write to: `iptables` alone is another one on Debian."""
    legacy = replace(RICH, backend=Backend.IPTABLES)
    for line in api.plan(legacy, world.gateway, directory=tmp_path).lines():
        if line.startswith(("+ iptables", "+ ip6tables")):
            world.run(world.gateway, line.removeprefix("+ "))
    assert world.snapshot() != clean
    rest = api.plan(legacy, world.gateway, directory=tmp_path).lines()
    assert not [line for line in rest if "tables" in line and not line.startswith(("#", "!"))]


def test_a_plan_as_a_script_does_what_apply_does(
    world: World, rich: Request, clean: dict[str, str], tmp_path: Path
) -> None:
    api.apply(rich, world.gateway, directory=tmp_path)
    applied = world.snapshot()
    other = replace(rich, interceptions=rich.interceptions[1:], table=101)
    changing = api.plan(other, world.gateway, directory=tmp_path)
    api.destroy("gtunnel", world.gateway, directory=tmp_path)

    def run(lines: tuple[str, ...]) -> None:
        script = tmp_path / "script.sh"
        script.write_text("\n".join(("set -eu", *lines, "")))
        world.run(world.gateway, f"sh {script}")

    run(api.plan(rich, world.gateway, directory=tmp_path).script)
    assert world.snapshot() == applied
    assert api.status(rich, world.gateway, directory=tmp_path).in_sync
    run(changing.script)
    assert api.status(other, world.gateway, directory=tmp_path).in_sync
    world.run(world.gateway, "sysctl -qw net.ipv4.conf.eth1.route_localnet=0")  # without apply nobody remembered it
    assert clean


def test_the_other_backends_rules_are_replaced(
    world: World, rich: Request, clean: dict[str, str], tmp_path: Path
) -> None:
    (other,) = {Backend.NFTABLES, Backend.IPTABLES} - {rich.backend}
    api.apply(rich, world.gateway, directory=tmp_path)
    applied = world.snapshot()
    api.apply(replace(rich, backend=other), world.gateway, directory=tmp_path)
    assert not api.status(rich, world.gateway, directory=tmp_path).in_sync
    assert api.status(replace(rich, backend=other), world.gateway, directory=tmp_path).in_sync
    api.apply(rich, world.gateway, directory=tmp_path)
    assert world.snapshot() == applied
    assert applied != clean


def test_a_changed_request_replaces_the_old_one(
    world: World, rich: Request, clean: dict[str, str], tmp_path: Path
) -> None:
    api.apply(rich, world.gateway, directory=tmp_path)
    only_mail = replace(rich, interceptions=rich.interceptions[1:2], table=101, priority=6000)
    api.apply(only_mail, world.gateway, directory=tmp_path)
    direct = world.snapshot()
    api.destroy("gtunnel", world.gateway, directory=tmp_path)
    api.apply(only_mail, world.gateway, directory=tmp_path)
    assert world.snapshot() == direct
    assert direct != clean


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("ip -4 rule del pref 5001", "+ ip -4 rule pref 5001"),
        ("ip -6 route flush table 100", "+ ip -6 route local default dev lo table 100"),
        ("ip -4 rule add pref 5003 fwmark 0x9/0xff lookup 100 proto 157", "- ip -4 rule pref 5003 from all fwmark 0x9"),
        ("sysctl -qw net.ipv4.conf.eth1.route_localnet=0", "~ sysctl net.ipv4.conf.eth1.route_localnet = 1 (now 0)"),
        ("nft flush chain inet gtunnel v4_pre", "+ nft add rule inet gtunnel v4_pre"),
        ("nft insert rule inet gtunnel v6_pre accept", "- nft add rule inet gtunnel v6_pre accept"),
        ("nft flush ruleset", "+ nft add table inet gtunnel"),
        ("iptables-legacy -t mangle -N gtunnel.old", "- iptables-legacy -t mangle -N gtunnel.old"),
    ],
)
def test_drift_is_told_and_repaired(tmp_path: Path, damage: str, told: str) -> None:
    """In a world of its own: some of the damage is done to others' rules as well."""
    _drift(RICH, damage, told, tmp_path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("iptables-legacy -t mangle -F gtunnel.pre", "+ iptables-legacy -t mangle -A gtunnel.pre"),
        ("iptables-legacy -t mangle -D gtunnel.tp0 1", "+ iptables-legacy -t mangle -A gtunnel.tp0"),
        ("iptables-legacy -t mangle -I gtunnel.pre -j ACCEPT", "- iptables-legacy -t mangle -A gtunnel.pre -j ACCEPT"),
        ("iptables-legacy -t nat -F PREROUTING", "+ iptables-legacy -t nat -I PREROUTING"),
        ("ip6tables-legacy -t mangle -F", "+ ip6tables-legacy -t mangle -A gtunnel.divert"),
    ],
)
def test_drift_of_iptables_is_told_and_repaired(tmp_path: Path, damage: str, told: str) -> None:
    _drift(replace(RICH, backend=Backend.IPTABLES), damage, told, tmp_path)


def _drift(request: Request, damage: str, told: str, directory: Path) -> None:
    with World() as own:
        api.apply(request, own.gateway, directory=directory)
        own.run(own.gateway, damage)
        status = api.status(request, own.gateway, directory=directory)
        assert not status.in_sync
        assert any(line.startswith(told) for line in status.lines()), status.lines()
        api.apply(request, own.gateway, directory=directory)
        assert api.status(request, own.gateway, directory=directory).lines()[-1] == "in sync"


def test_a_sysctl_that_was_right_before_us_stays(world: World, rich: Request, tmp_path: Path) -> None:
    name = "net.ipv4.conf.eth1.route_localnet"
    world.run(world.gateway, f"sysctl -qw {name}=1")
    try:
        api.apply(rich, world.gateway, directory=tmp_path)
        api.destroy("gtunnel", world.gateway, directory=tmp_path)
        assert world.run(world.gateway, f"sysctl -n {name}").strip() == "1"
    finally:
        world.run(world.gateway, f"sysctl -qw {name}=0")


def test_two_instances_do_not_touch_each_other(
    world: World, rich: Request, clean: dict[str, str], tmp_path: Path
) -> None:
    second = replace(rich, instance="gtunnel-2", marks=Marks.from_first(0x100, 0xF00), table=200, priority=5100)
    api.apply(rich, world.gateway, directory=tmp_path)
    alone = world.snapshot()
    api.apply(second, world.gateway, directory=tmp_path)
    assert api.status(rich, world.gateway, directory=tmp_path).in_sync
    assert api.status(second, world.gateway, directory=tmp_path).in_sync
    api.destroy("gtunnel-2", world.gateway, directory=tmp_path)
    # route_localnet is shared: the first instance needs it on, and the second one found it so.
    assert world.snapshot() == alone
    assert alone != clean


def test_a_second_instance_with_the_same_numbers_is_refused(
    world: World, rich: Request, clean: dict[str, str], tmp_path: Path
) -> None:
    api.apply(rich, world.gateway, directory=tmp_path)
    applied = world.snapshot()
    with pytest.raises(CollisionError, match="choose another net"):
        api.apply(replace(rich, instance="other"), world.gateway, directory=tmp_path)
    assert world.snapshot() == applied
    assert applied != clean


@pytest.mark.parametrize(
    ("foreign", "undo", "sentence"),
    [
        ("ip rule add pref 5001 lookup 300", "ip rule del pref 5001", "priority 5001 is taken.*netPriority"),
        ("ip rule add pref 77 fwmark 0x2 lookup 300", "ip rule del pref 77", "mark 0x2/0xff is taken.*netMark"),
        ("ip -6 rule add pref 77 lookup 100", "ip -6 rule del pref 77", "table 100 is taken.*netTable"),
        ("ip route add 203.0.113.9/32 dev eth2 table 100", "ip route flush table 100", "table 100 is taken.*netTable"),
    ],
)
def test_what_belongs_to_others_is_not_taken_over(
    world: World, clean: dict[str, str], tmp_path: Path, foreign: str, undo: str, sentence: str
) -> None:
    world.run(world.gateway, foreign)
    try:
        with pytest.raises(CollisionError, match=sentence):
            api.apply(RICH, world.gateway, directory=tmp_path)
        assert any("taken by something" in line for line in api.status(RICH, world.gateway, directory=tmp_path).lines())
    finally:
        world.run(world.gateway, undo)
    assert world.snapshot() == clean


def test_destroy_works_without_the_ledger_except_for_sysctls(world: World, rich: Request, tmp_path: Path) -> None:
    before = world.snapshot()
    api.apply(rich, world.gateway, directory=tmp_path)
    for path in tmp_path.glob("*.json"):
        path.unlink()
    api.destroy("gtunnel", world.gateway, directory=tmp_path)
    world.run(world.gateway, "sysctl -qw net.ipv4.conf.eth1.route_localnet=0")
    assert world.snapshot() == before


def test_a_failure_undoes_what_was_done(world: World, clean: dict[str, str], tmp_path: Path) -> None:
    """The nat table comes last: a chain of another's making that leads to ours cannot be replaced."""
    legacy = replace(RICH, backend=Backend.IPTABLES)
    api.apply(legacy, world.gateway, directory=tmp_path)
    world.run(world.gateway, "iptables-legacy -t nat -N blocks")
    world.run(world.gateway, "iptables-legacy -t nat -A blocks -j gtunnel.nout")
    try:
        before = world.snapshot()
        ledger = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
        with pytest.raises(StepError, match=r"gtunnel.nout cannot be removed.*undone"):
            api.destroy("gtunnel", world.gateway, directory=tmp_path)
        assert world.snapshot() == before
        assert {path.name: path.read_text() for path in tmp_path.glob("*.json")} == ledger
        assert api.status(legacy, world.gateway, directory=tmp_path).in_sync
    finally:
        world.run(world.gateway, "iptables-legacy -t nat -F blocks")
        world.run(world.gateway, "iptables-legacy -t nat -X blocks")
    assert clean


def test_the_sysctl_of_an_interface_comes_with_it(world: World, clean: dict[str, str], tmp_path: Path) -> None:
    capture = Capture(ports=((80, 80),), interfaces=("eth7",), method=Method.REDIRECT)
    service = Interception(name="x", listeners=LISTENERS[:1], source=False, capture=capture)
    request = Request(interceptions=(service,))
    done = api.apply(request, world.gateway, directory=tmp_path)
    assert any("eth7 does not exist here now" in warning for warning in done.warnings)
    assert api.status(request, world.gateway, directory=tmp_path).in_sync
    world.run(world.gateway, "ip link add eth7 type veth peer name eth8")
    try:
        (difference,) = api.status(request, world.gateway, directory=tmp_path).differences
        assert difference == "~ sysctl net.ipv4.conf.eth7.route_localnet = 1 (now 0)"
        api.apply(request, world.gateway, directory=tmp_path)
        assert world.run(world.gateway, "sysctl -n net.ipv4.conf.eth7.route_localnet") == "1\n"
    finally:
        world.run(world.gateway, "ip link del eth7")
    assert clean


def test_an_interface_that_is_not_there_is_a_warning(world: World, clean: dict[str, str], tmp_path: Path) -> None:
    """It may be misspelt; or come later, so that it is no error. An alternative name matches nothing either."""

    def told(lines: tuple[str, ...]) -> list[str]:
        return [line.partition(":")[0] for line in lines if line.startswith("! captureInterface")]

    world.run(world.gateway, "ip link property add dev eth2 altname other2")
    capture = Capture(ports=((80, 80),), interfaces=("eth1", "eth9", "other2"), method=Method.TPROXY)
    service = Interception(name="x", listeners=LISTENERS[:1], source=False, capture=capture)
    request = Request(interceptions=(service, replace(service, name="y")))
    absent = [f"! captureInterface {name} does not exist here now" for name in ("eth9", "other2")]
    try:
        assert told(api.plan(request, world.gateway, directory=tmp_path).lines()) == absent
        assert told(api.apply(request, world.gateway, directory=tmp_path).lines()) == absent
        status = api.status(request, world.gateway, directory=tmp_path)
        assert told(status.lines()) == absent
        assert status.in_sync
        assert all("for [x], [y]; " in warning for warning in status.warnings if "eth9" in warning)
    finally:
        world.run(world.gateway, "ip link property del dev eth2 altname other2")
    assert clean


def test_bad_input_gives_sentences(world: World, tmp_path: Path) -> None:
    with pytest.raises(NamespaceError, match="there is none of this name"):
        api.plan(RICH, "gtt-no-such", directory=tmp_path)
    with pytest.raises(NamespaceError, match="no name of a namespace"):
        api.plan(RICH, "../net", directory=tmp_path)
    capture = Capture(ports=((80, 80),), fail_closed=False)
    service = Interception(name="x", listeners=LISTENERS, source=False, capture=capture)
    open_by_iptables = Request(interceptions=(service,), backend=Backend.IPTABLES)
    with pytest.raises(BackendError, match=r"netBackend = iptables: .*captureFailClosed = no cannot be had"):
        api.plan(open_by_iptables, world.gateway, directory=tmp_path)
    with pytest.raises(RequestError, match="instance"):
        api.plan(replace(RICH, instance="no good"), world.gateway, directory=tmp_path)
    with pytest.raises(RequestError, match="instance"):
        api.destroy("../../etc/passwd", world.gateway, directory=tmp_path)


def test_two_at_once_take_turns(world: World, clean: dict[str, str], tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(LockError, match="still held"), lock(tmp_path, 0.1):
        pass
    script = "import sys; from pathlib import Path; from netsetup import api; from tests.netsetup.rich import RICH;"
    script += "print(api.apply(RICH, sys.argv[1], directory=Path(sys.argv[2])).changed)"
    argv = [sys.executable, "-c", script, world.gateway, str(tmp_path)]
    running = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    changed = sorted(process.communicate()[0].strip() for process in running)
    assert changed == ["False", "False", "True"]
    assert clean


def test_without_the_capability_it_says_so(world: World, tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from netsetup import operations; from netsetup.errors import *\n"
    script += "from tests.netsetup.rich import RICH\n"
    script += "try: operations.plan(RICH, Path(sys.argv[1]))\nexcept NetsetupError as error: print(repr(error))"
    without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    argv = [*without, sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(CapabilityError.__name__), done.stderr
    assert "CAP_NET_ADMIN" in done.stdout
    assert world


def test_the_caller_stays_in_its_namespace(world: World, tmp_path: Path) -> None:
    here = Path("/proc/self/ns/net").stat().st_ino
    api.status(RICH, world.gateway, directory=tmp_path)
    assert Path("/proc/self/ns/net").stat().st_ino == here


def test_reading_loads_no_table(tmp_path: Path) -> None:
    """A table that was opened once shows up in iptables-save for good, and costs each packet a little."""
    with World() as own:
        assert own.run(own.client, "cat /proc/net/ip_tables_names") == ""
        api.plan(RICH, own.client, directory=tmp_path)
        api.status(RICH, own.client, directory=tmp_path)
        api.destroy("gtunnel", own.client, directory=tmp_path)
        assert own.run(own.client, "cat /proc/net/ip_tables_names") == ""


def test_reading_a_table_loads_no_other(tmp_path: Path) -> None:
    with World() as own:
        own.run(own.client, "iptables-legacy -t mangle -N gtunnel.pre")
        own.run(own.client, "iptables-legacy -t mangle -A gtunnel.pre -j MARK --set-mark 1")
        own.run(own.client, "iptables-legacy -t mangle -A OUTPUT -j gtunnel.pre")
        assert not api.status(RICH, own.client, directory=tmp_path).in_sync
        assert own.run(own.client, "cat /proc/net/ip_tables_names") == "mangle\n"
        assert own.run(own.client, "cat /proc/net/ip6_tables_names") == ""


def test_a_table_that_was_used_first_by_us_stays_empty(tmp_path: Path) -> None:
    """The kernel cannot unregister it; nothing of ours is in it, and no packet is treated otherwise."""
    with World() as own:
        request = replace(RICH, interceptions=RICH.interceptions[2:], backend=Backend.IPTABLES)
        api.apply(request, own.client, directory=tmp_path)
        assert "gtunnel" in own.run(own.client, "iptables-legacy-save")
        api.destroy("gtunnel", own.client, directory=tmp_path)
        assert own.run(own.client, "cat /proc/net/ip_tables_names") == "mangle\n"
        saved = own.run(own.client, "iptables-legacy-save").splitlines()
        built_in = [line for line in saved if line.startswith(":")]
        assert len(built_in) == 5
        assert all(" ACCEPT " in line for line in built_in)
        assert not [line for line in saved if not line.startswith(("#", "*mangle", ":", "COMMIT"))]


def test_an_error_crosses_the_process_border_with_its_fields() -> None:
    assert FirewallError(unit="x nat", reason="no").fields == {"unit": "x nat", "reason": "no"}
