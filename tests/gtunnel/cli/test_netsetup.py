"""`gtunnel netsetup`: what a configuration wants of the kernel, and what the command says and returns."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtunnel.cli.netsetup import DRIFT, FAILED, IN_SYNC, request
from gtunnel.errors import GtunnelError
from netsetup import model
from tests.gtunnel.cli.commands import Answer, ask
from tests.gtunnel.settings import configuration
from tests.support.tunnels import ROOT

Capture = pytest.CaptureFixture[str]

GATE = "[gate]\nclient = yes\naccept = 0.0.0.0:8443\ntransparent = both\ncapture = 80\n"
KEEP = "[keep]\nclient = yes\naccept = 993\nconnect = 192.0.2.7:143\ntransparent = source\n"
PLAIN = "[plain]\nclient = yes\naccept = 25\nconnect = 192.0.2.8:465\n"


def interception(text: str) -> model.Interception:
    """The only one that a configuration asks for."""
    (only,) = request(configuration(text)).interceptions
    return only


def test_a_capturing_service_is_an_interception() -> None:
    assert interception(GATE) == model.Interception(
        name="gate",
        listeners=(model.Listener(host="0.0.0.0", port=8443),),
        source=True,
        capture=model.Capture(ports=((80, 80),)),
        targets=(),
    )


def test_what_is_captured_is_handed_on_whole() -> None:
    lines = (
        "capture = 1000-2000,443\ncaptureInterface = eth1\ncaptureFrom = 10.0.0.0/8\ncaptureFrom = 2001:db8::/32\n"
        "captureTo = 198.51.100.0/24\ncaptureExclude = 198.51.100.1\ncaptureLocal = yes\ncaptureMethod = tproxy\n"
        "captureFailClosed = no\n"
    )
    capture = interception(GATE.replace("capture = 80\n", lines)).capture
    assert capture is not None
    assert sorted(capture.ports) == [(443, 443), (1000, 2000)]
    assert capture.interfaces == ("eth1",)
    assert capture.from_networks == ("10.0.0.0/8", "2001:db8::/32")
    assert capture.to_networks == ("198.51.100.0/24",)
    assert [network.partition("/")[0] for network in capture.exclude] == ["198.51.100.1"]
    assert capture.local
    assert capture.method is model.Method.TPROXY
    assert not capture.fail_closed


def test_a_service_that_keeps_the_client_s_address_names_its_targets() -> None:
    assert interception(KEEP) == model.Interception(
        name="keep",
        listeners=(model.Listener(host="0.0.0.0", port=993),),
        source=True,
        capture=None,
        targets=(model.Target(host="192.0.2.7", port=143),),
    )


def test_a_target_by_name_is_looked_up_and_one_without_a_host_is_here() -> None:
    found = interception(KEEP.replace("192.0.2.7:143", "localhost:143\nconnect = 144")).targets
    assert model.Target(host="127.0.0.1", port=143) in found
    assert model.Target(host="127.0.0.1", port=144) in found


def test_a_target_s_name_that_nobody_knows_is_an_error_of_ours() -> None:
    with pytest.raises(GtunnelError, match=r"no-such-host\.invalid"):
        request(configuration(KEEP.replace("192.0.2.7", "no-such-host.invalid")))


def test_a_captured_service_without_source_needs_no_way_back() -> None:
    wanted = interception(GATE.replace("both", "destination"))
    assert not wanted.source
    assert wanted.targets == ()


def test_ipv6_and_several_listeners() -> None:
    listeners = interception(GATE.replace("0.0.0.0:8443", ":::8443\naccept = 127.0.0.1:8444")).listeners
    assert listeners == (model.Listener(host="::", port=8443), model.Listener(host="127.0.0.1", port=8444))


def test_other_services_do_not_matter() -> None:
    names = [found.name for found in request(configuration(PLAIN + GATE + KEEP)).interceptions]
    assert names == ["gate", "keep"]


def test_marks_table_and_priority_are_the_configuration_s() -> None:
    made = request(
        configuration(f"netMark = 0x100/0xff00\nnetTable = 77\nnetPriority = 1234\nnetBackend = iptables\n{KEEP}")
    )
    assert (made.table, made.priority, made.backend) == (77, 1234, model.Backend.IPTABLES)
    assert made.marks == model.Marks.from_first(0x100, 0xFF00)


def test_nothing_transparent_is_said_with_the_file() -> None:
    with pytest.raises(GtunnelError, match=r"^test.conf: nothing to set up: no service has `capture` or"):
        request(configuration(PLAIN))


class TestCommand:
    """What it says, and its status."""

    @pytest.mark.parametrize("command", ["plan", "apply", "status"])
    def test_a_configuration_that_is_wrong(self, capsys: Capture, tmp_path: Path, command: str) -> None:
        file = tmp_path / "x.conf"
        file.write_text(f"nonsense = 1\n{KEEP}verify = 17\n")
        answer = ask(capsys, "netsetup", command, file)
        assert (answer.status, answer.out) == (FAILED, "")
        assert [line.partition(": ")[0] for line in answer.err.splitlines()] == ["error", "error"]
        assert f"error: {file}:1: " in answer.err

    @pytest.mark.parametrize("command", ["plan", "apply", "status"])
    def test_a_configuration_that_is_not_there(self, capsys: Capture, command: str) -> None:
        answer = ask(capsys, "netsetup", command, "/no/such.conf")
        assert answer.status == FAILED
        assert answer.err == "error: /no/such.conf: cannot read the configuration: No such file or directory\n"

    @pytest.mark.root
    @pytest.mark.parametrize("command", ["plan", "apply", "status", "destroy"])
    def test_without_root_it_says_so(self, tmp_path: Path, command: str) -> None:
        for parent in (*tmp_path.parents[:3], tmp_path):
            parent.chmod(parent.stat().st_mode | 0o111)
        file = tmp_path / "x.conf"
        file.write_text(KEEP)
        file.chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, "netsetup", command, *([] if command == "destroy" else [file])],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == FAILED, done.stderr
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "root" in done.stderr or "not permitted" in done.stderr or "denied" in done.stderr


# Everything is loaded first: nobody may not read this interpreter, perhaps.
AS_NOBODY = """
import os, sys
import netsetup.api, netsetup.inside, netsetup.kernel.routing, netsetup.kernel.namespace, pyroute2
from gtunnel.cli import netsetup as loaded
from gtunnel.cli.main import main
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with nothing in it."""
    name = f"gtunnel-cli-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.root
def test_the_whole_life_of_a_set_up(capsys: Capture, tmp_path: Path, namespace: str) -> None:
    file = tmp_path / "x.conf"
    file.write_text(KEEP)

    def netsetup(command: str, *more: object) -> Answer:
        return ask(capsys, "netsetup", command, "--netns", namespace, *more)

    assert netsetup("status", file).status == DRIFT
    planned = netsetup("plan", file)
    assert planned.status == 0
    assert planned.out
    assert netsetup("apply", "--dry-run", file).status == 0
    assert netsetup("status", file).status == DRIFT
    assert netsetup("apply", file).status == 0
    assert netsetup("status", file).status == IN_SYNC
    assert netsetup("apply", file).status == 0
    assert netsetup("destroy", "--dry-run").status == 0
    empty = netsetup("destroy", "--name", "")  # as of a script's variable that is not set
    assert empty.status == FAILED
    assert "instance: '' is not 1 to 15" in empty.err
    assert netsetup("status", file).status == IN_SYNC
    assert netsetup("destroy").status == 0
    assert netsetup("status", file).status == DRIFT


@pytest.mark.root
def test_a_configuration_that_wants_nothing(capsys: Capture, tmp_path: Path, namespace: str) -> None:
    file = tmp_path / "x.conf"
    file.write_text(PLAIN)
    nothing = f"{file}: nothing to set up: no service has `capture` or `transparent = source`"
    for command in ("plan", "apply"):
        answer = ask(capsys, "netsetup", command, "--netns", namespace, file)
        assert (answer.status, answer.out, answer.err) == (FAILED, "", f"error: {nothing}\n")
    answer = ask(capsys, "netsetup", "status", "--netns", namespace, file)
    assert answer.status == IN_SYNC
    assert answer.out == f"in sync: {nothing}, and nothing of ours is there\n"


@pytest.mark.root
def test_what_is_left_of_an_earlier_configuration_is_told_and_stays(
    capsys: Capture, tmp_path: Path, namespace: str
) -> None:
    """Whoever takes the last transparent service out of the file has to hear that the kernel still works for it."""
    file = tmp_path / "x.conf"

    def netsetup(command: str, *more: object) -> Answer:
        return ask(capsys, "netsetup", command, "--netns", namespace, *more)

    file.write_text(KEEP)
    assert netsetup("apply", file).status == 0
    would_go = netsetup("destroy", "--dry-run").out.splitlines()[:-1]
    assert any("nft add table inet gtunnel" in line for line in would_go)

    file.write_text(PLAIN)
    advice = f"run `gtunnel netsetup destroy --netns {namespace}`"
    for _ in range(2):
        status = netsetup("status", file)
        assert status.status == DRIFT
        *lines, last = status.out.splitlines()
        assert lines == would_go
        assert last.startswith(f"drift: {file}: nothing to set up")
        assert last.endswith(advice)
        for command in ("plan", "apply"):
            answer = netsetup(command, file)
            assert (answer.status, answer.out) == (FAILED, "")
            assert answer.err.endswith(f"; what was set up earlier is still there; to remove it, {advice}\n")
    assert netsetup("destroy").status == 0
    assert netsetup("status", file).status == IN_SYNC


@pytest.mark.root
def test_a_namespace_that_is_not_there_is_named(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text(KEEP)
    answer = ask(capsys, "netsetup", "status", "--netns", "no-such-namespace", file)
    assert answer.status == FAILED
    assert "no-such-namespace" in answer.err
