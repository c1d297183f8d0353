"""The doctor's table of checks."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from netsetup.doctor.checks import applied, bridges, firewall, listening, ports, returning, routes, tracking, twofold
from netsetup.doctor.facts import Facts
from netsetup.doctor.findings import Diagnosis, Finding
from netsetup.doctor.gather import gather
from netsetup.model import Request

CHECKS: Mapping[str, Callable[[Facts], Iterable[Finding]]] = {
    "applied": applied.check,
    "listening": listening.check,
    "routes": routes.check,
    "firewall": firewall.check,
    "twofold": twofold.check,
    "bridges": bridges.check,
    "tracking": tracking.check,
    "ports": ports.check,
    "returning": returning.check,
}
"""In this order, findings of the same severity are told."""


def diagnose(facts: Facts) -> Diagnosis:
    """All that the checks find. Pure."""
    return Diagnosis.of(finding for check in CHECKS.values() for finding in check(facts))


def check(request: Request, directory: Path) -> Diagnosis:
    """Look at the machine and judge. Changes nothing. Raises NetsetupError for what cannot be looked at."""
    return diagnose(gather(request, directory))
