"""The doctor and its probe on gateways where gtunnel itself runs: wrapping, unwrapping, keeping addresses.

In the lab: client 192.0.2.2 - gateway 192.0.2.1 | 198.51.100.1 - server 198.51.100.2.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from netsetup.lab import Lab
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, Tunnels

pytestmark = pytest.mark.root

CAPTURE = "transparent = both\ncapture = 8443\ncaptureInterface = to-client\n"
WRAP = f"[wrap]\nclient = yes\naccept = 127.0.0.1:9443\naccept = ::1:9443\n{CAPTURE}"


def check(lab: Lab, file: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and report of `gtunnel netsetup check --json` on the gateway."""
    argv = [*GTUNNEL, "netsetup", "check", "--json", file, *options]
    done = lab.run("gateway", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def hops(report: dict[str, Any]) -> list[dict[str, str]]:
    """What each probe of the report saw, by hop."""
    return [{hop["name"]: hop["state"] for hop in one["hops"]} for one in report["probes"]]


def serious(report: dict[str, Any]) -> list[str]:
    """Titles of what is no note."""
    return [one["title"] for one in report["findings"] if one["severity"] != "note"]


def apply(lab: Lab, file: str) -> None:
    """Set the gateway up."""
    argv = [*GTUNNEL, "netsetup", "apply", file]
    done = lab.run("gateway", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrapping_is_followed_as_far_as_tls_to_the_server(lab: Lab, gtunnel: Tunnels) -> None:
    file = str(gtunnel.configuration(WRAP))
    status, report = check(lab, file)
    assert status == 2
    assert serious(report)[0] == "The kernel is not set up for this configuration"

    apply(lab, file)
    gtunnel(WRAP, launch=partial(lab.popen, "gateway"))
    status, report = check(lab, file, "--probe")
    assert (status, serious(report)) == (0, []), report
    followed = {"sent": "yes", "captured": "yes", "accepted": "yes", "connected": "yes", "answered": "yes"}
    assert hops(report) == [{**followed, "returned": "unknown"}] * 2, report
    for one in report["probes"]:
        source = one["title"].split(" to ")[0].rpartition(" ")[2]
        text = next(hop["text"] for hop in one["hops"] if hop["name"] == "connected")
        assert f"from {source}:" in text or f"from [{source}]:" in text


def test_unwrapping_is_followed_to_the_end(lab: Lab, in_lab: Callable[..., Daemon], gtunnel: Tunnels, pki: Pki) -> None:
    """A server that speaks first answers through TLS that the probe has made."""
    conf = f"[unwrap]\naccept = 0.0.0.0:9443\ncert = {pki.server.pem}\ncaptureMethod = redirect\n"
    conf += CAPTURE.replace("both", "destination")
    file = str(gtunnel.configuration(conf))
    apply(lab, file)
    gtunnel(conf, launch=partial(lab.popen, "gateway"))
    greeter = in_lab("server", ["socat", "TCP-LISTEN:8443,fork,reuseaddr", "SYSTEM:echo hello; sleep 30"])
    assert greeter
    status, report = check(lab, file, "--probe", "--from", "192.0.2.77", "--to", "198.51.100.2:8443")
    assert (status, serious(report)) == (0, []), report
    (seen,) = hops(report)
    assert list(seen.values()) == ["yes"] * 6, report
    assert "after TLS with the client" in next(
        hop["text"] for hop in report["probes"][0]["hops"] if hop["name"] == "connected"
    )
