"""`gtunnel netsetup check`: its options, what it prints, and its exit status."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netsetup import api
from netsetup.doctor.findings import Diagnosis, Finding, Severity
from netsetup.doctor.packet import Truth
from netsetup.doctor.probe.attempts import Wish
from netsetup.doctor.probe.hops import Hop, Probed, Probes
from netsetup.model import Request
from tests.gtunnel.cli.commands import Answer, ask

Capture = pytest.CaptureFixture[str]
Monkey = pytest.MonkeyPatch

GATE = "[gate]\nclient = yes\naccept = 0.0.0.0:8443\ntransparent = both\ncapture = 80\n"
NOTE = Finding(severity=Severity.NOTE, title="A note", evidence=("seen",), effect="none", fix="none")
ERROR = Finding(severity=Severity.ERROR, title="An error", effect="nothing works", fix="mend it")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A gateway's configuration."""
    path = tmp_path / "gate.conf"
    path.write_text(GATE)
    return path


def found(monkeypatch: Monkey, *findings: Finding) -> None:
    """What the doctor finds."""
    monkeypatch.setattr(api, "check", lambda _request, _netns: Diagnosis.of(findings))


def test_nothing_found_and_notes_are_0_and_anything_more_is_2(capsys: Capture, monkeypatch: Monkey, file: Path) -> None:
    found(monkeypatch)
    assert ask(capsys, "netsetup", "check", file) == Answer(0, "nothing found\n", "")
    found(monkeypatch, NOTE)
    assert ask(capsys, "netsetup", "check", file).status == 0
    found(monkeypatch, NOTE, ERROR)
    answer = ask(capsys, "netsetup", "check", file)
    assert answer.status == 2
    assert answer.out.splitlines()[:3] == ["error: An error", "    effect: nothing works", "    fix:    mend it"]


def test_for_programs(capsys: Capture, monkeypatch: Monkey, file: Path) -> None:
    found(monkeypatch, ERROR)
    answer = ask(capsys, "netsetup", "check", "--json", file)
    assert answer.status == 2
    assert json.loads(answer.out) == {"findings": [ERROR.as_dict()]}


@pytest.mark.parametrize(("state", "status"), [(Truth.YES, 0), (Truth.UNKNOWN, 0), (Truth.NO, 2)])
def test_a_probe_s_failure_counts(capsys: Capture, monkeypatch: Monkey, file: Path, state: Truth, status: int) -> None:
    wishes: list[Wish] = []
    probed = Probed(title="x", hops=(Hop(name="sent", state=state, text="seen"),))

    def probe(_request: Request, wish: Wish, _netns: str | None) -> Probes:
        wishes.append(wish)
        return Probes.of([probed])

    found(monkeypatch)
    monkeypatch.setattr(api, "probe", probe)
    options = ("--probe", "--service", "gate", "--from", "2001:DB8::7", "--to", "[2001:db8::2]:80")
    answer = ask(capsys, "netsetup", "check", file, *options)
    assert answer.status == status
    assert answer.out.splitlines()[:2] == ["nothing found", "probe: x"]
    assert wishes == [Wish(source="2001:db8::7", destination="2001:db8::2", port=80, service="gate")]
    assert json.loads(ask(capsys, "netsetup", "check", file, "--probe", "--json").out)["probes"] == [probed.as_dict()]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--to", "192.0.2.1:80"), "--to is for --probe, which is not there"),
        (("--from", "192.0.2.1"), "--from is for --probe, which is not there"),
        (("--service", "gate"), "--service is for --probe, which is not there"),
        (("--probe", "--service", "other"), "--service other: transparent are gate"),
        (("--probe", "--to", "192.0.2.1"), "--to 192.0.2.1: ADDR:PORT is wanted"),
        (("--probe", "--to", "192.0.2.1:0"), "ADDR:PORT is wanted"),
        (("--probe", "--to", "example.org:80"), "--to example.org: a numeric address is wanted"),
        (("--probe", "--from", "192.0.2.300"), "--from 192.0.2.300: a numeric address is wanted"),
        (("--probe", "--from", "192.0.2.3", "--to", "[2001:db8::1]:80"), "of different IP versions"),
    ],
)
def test_options_that_make_no_sense(
    capsys: Capture, monkeypatch: Monkey, file: Path, options: tuple[str, ...], complaint: str
) -> None:
    found(monkeypatch)
    answer = ask(capsys, "netsetup", "check", file, *options)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("error: ")
    assert complaint in answer.err
    assert answer.err.count("\n") == 1


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with nothing in it."""
    name = f"gtunnel-doctor-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.root
def test_in_a_namespace_where_nothing_is_set_up(capsys: Capture, file: Path, namespace: str) -> None:
    answer = ask(capsys, "netsetup", "check", "--netns", namespace, "--probe", file)
    assert answer.status == 2
    assert answer.out.startswith("error: The kernel is not set up for this configuration\n")
    assert "not tried: none of the interfaces" in answer.out
    missing = ask(capsys, "netsetup", "check", "--netns", "no-such-namespace", file)
    assert missing.status == 1
    assert "no-such-namespace" in missing.err


def test_a_configuration_that_wants_nothing_cannot_be_checked(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "plain.conf"
    file.write_text("nonsense = 1\n")
    answer = ask(capsys, "netsetup", "check", file)
    assert (answer.status, answer.out) == (1, "")
    assert "nonsense" in answer.err
