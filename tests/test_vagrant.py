"""The testbed of vagrant/, as far as it goes without virtual machines: its matrix in the lab's namespaces."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from netsetup.lab import Lab
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE, Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, ROOT, Tunnels

VAGRANT = ROOT / "vagrant"
TRAFFIC = [sys.executable, str(VAGRANT / "traffic.py")]


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which is in no package."""
    monkeypatch.syspath_prepend(str(VAGRANT))
    import matrix  # type: ignore[import-not-found]

    return matrix  # type: ignore[no-any-return]


def test_each_service_has_cases_and_ports_of_its_own(matrix: ModuleType) -> None:
    import traffic  # type: ignore[import-not-found]

    services = matrix.services()
    assert len({service.name for service in services}) == len(services)
    assert all(any(case.name.startswith(service.name) for case in matrix.cases()) for service in services)
    assert {matrix.SERVED + service.number for service in services} <= set(traffic.PORTS)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ({"peer": "198.51.100.2", "seen": "192.0.2.2", "same": True}, None),
        ({"peer": "198.51.100.2", "seen": "192.0.2.1", "same": True}, "the server sees 192.0.2.1"),
        ({"peer": "192.0.2.1", "seen": "192.0.2.2", "same": True}, "the client sees 192.0.2.1"),
        ({"peer": "198.51.100.2", "seen": "192.0.2.2", "same": False}, "not all bytes"),
        ({"error": "timed out"}, "timed out"),
        (None, "no answer"),
    ],
)
def test_a_case_knows_when_it_has_failed(matrix: ModuleType, result: object, problem: str | None) -> None:
    case = matrix.Case(name="x", origin="client", where=("198.51.100.2", 7001), seen="192.0.2.2")
    found = case.judge(result)
    assert found is None if problem is None else problem in found


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_the_matrix_holds_on_this_kernel(
    matrix: ModuleType, lab: Lab, in_lab: Callable[..., Daemon], gtunnel: Tunnels, pki: Pki, backend: str
) -> None:
    for host in ("server", "gateway"):
        in_lab(host, [*TRAFFIC, "serve", str(pki.server.pem)]).wait_for("listening")
    text = matrix.configuration(backend)
    argv = [*GTUNNEL, "netsetup", "apply", str(gtunnel.configuration(text))]
    done = lab.run("gateway", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    gtunnel(text, launch=partial(lab.popen, "gateway"))
    for origin in ("client", "gateway"):
        cases = [case for case in matrix.cases() if case.origin == origin]
        assert cases
        wanted = json.dumps({case.name: case.where for case in cases})
        done = lab.run(origin, [*TRAFFIC, "probe"], input=wanted, capture_output=True, text=True)
        results = json.loads(done.stdout)
        problems = {case.name: problem for case in cases if (problem := case.judge(results.get(case.name)))}
        assert not problems


@pytest.mark.parametrize(("options", "status"), [(["--quick"], 0), ([], 1)])
def test_where_it_cannot_run_it_says_so(tmp_path: Path, options: list[str], status: int) -> None:
    nobody = tmp_path / "id"
    nobody.write_text("#!/bin/sh\necho 1000\n")
    nobody.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [VAGRANT / "test", *options], env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (
        status,
        "The testbed of virtual machines is left out: it needs root, for namespaces and for the box\n",
    )
