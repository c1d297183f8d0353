"""The page is made of what was kept, whichever of it there is, and with or without plots."""

import json
import sys
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import about, idle, plots, results
from tests.bench.longrun import Outcome
from tests.bench.page import page
from tests.bench.test_sampling import samples

ROUNDS = {"full handshake TLS 1.3 ECDSA, CPU us": {"gtunnel": [800.0], "stunnel4": [1000.0]}}
STEP = dict.fromkeys(("new_p50", "new_p99", "echo_p50", "echo_p99", "kib", "cpu_percent"), 1.0)


def test_each_kind_of_run_has_its_part_and_keeps_the_others(tmp_path: Path) -> None:
    bench.publish(tmp_path, ROUNDS, ["gtunnel", "stunnel4"], 1, "`make bench`")
    idle.publish(tmp_path, {"gtunnel": [{"connections": 9950.0, **STEP}]}, ["it ended early"], 20000)
    Outcome(samples=samples(), facts=["9 connections"], failures=[], log="").report("soak", "soak it", tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| full handshake TLS 1.3 ECDSA, CPU us | 800 | 1000 | 0.80 | ≤ 1.00 (0.75) | met |" in text
    assert "All targets are met." in text
    assert "| gtunnel | 9950 | 1.0 | 1.0 | 1 | 1 | 1.0 | 1.00 |" in text
    assert "- it ended early" in text
    assert "- 9 connections" in text
    assert "| PSS, MiB | 70.0 | +0.0 | 3.5 |" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Beside others",
        "## Idle connections in one worker",
        "## Everything at once, for long",
    ]
    assert set(results.kept(tmp_path)) == {"table", "idle", "soak"}
    before = text
    assert page(tmp_path).read_text() == before


def test_without_matplotlib_a_line_says_so_and_there_is_no_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plots.bars(tmp_path / "table.png", {"row": {"gtunnel": 1.0}}, {}, "stunnel4")
    assert "table.png is left out: matplotlib is not installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_plots_are_small(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    names = [name for name in plots.COLOURS if name != "stunnel4"]
    plots.bars(
        tmp_path / "a.png", {f"row {n}": dict.fromkeys(names, 0.5) for n in range(20)}, {"row 1": 0.9}, "stunnel4"
    )
    curve = [(float(n), 1.0) for n in range(400)]
    plots.curves(tmp_path / "b.png", {"flat": {"gtunnel p50": curve}, "steep": {"x": curve}}, "x", steep=["steep"])
    for name in ("a.png", "b.png"):
        data = (tmp_path / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) < 60_000


def test_the_figures_are_json(tmp_path: Path) -> None:
    image = results.keep(tmp_path, "soak", {"facts": ["é"]})
    assert image == tmp_path / "benchmarks/soak.png"
    assert json.loads((tmp_path / "benchmarks/soak.json").read_text()) == {"facts": ["é"]}


def test_the_machine_and_the_programs_are_described_in_general_terms() -> None:
    assert " processors (" in about.machine()
    known = about.versions(["gtunnel", "openssl"])
    assert "OpenSSL " in known["gtunnel"]
    assert known["openssl"][0].isdigit() or known["openssl"] == "not installed"


@pytest.mark.parametrize(
    ("count", "limit", "last"), [(20_000, 100_000, 20_000), (20_000, 20_000, 9950), (300, 20_000, 300)]
)
def test_the_curve_goes_as_far_as_descriptors_do(count: int, limit: int, last: int) -> None:
    steps = idle.steps_to(count, limit)
    assert steps[-1] == last
    assert list(steps) == sorted(set(steps))
