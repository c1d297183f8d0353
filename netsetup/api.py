"""netsetup for its callers: plan, apply, status, destroy, check, probe.

All of them need CAP_NET_ADMIN, raise NetsetupError (never anything else for bad input or a refusing kernel), and run in
the namespace `netns` (a name below /run/netns), in a child process; None is the caller's own namespace and process,
which must not have a gevent hub then. `directory` holds the lock and the ledger.
"""

from pathlib import Path

from netsetup import inside
from netsetup.doctor.findings import Diagnosis
from netsetup.doctor.probe.attempts import Wish
from netsetup.doctor.probe.hops import Probes
from netsetup.ledger import DIRECTORY
from netsetup.model import Request
from netsetup.outcome import Outcome, Status
from netsetup.plan import Plan


def plan(request: Request, netns: str | None = None, *, directory: Path = DIRECTORY) -> Plan:
    """What `apply` would do now. Changes nothing."""
    found: Plan = inside.run(netns, "plan", request, directory)
    return found


def apply(request: Request, netns: str | None = None, *, dry_run: bool = False, directory: Path = DIRECTORY) -> Outcome:
    """Make the kernel hold what `request` wants; a second time changes nothing. On failure all is undone."""
    done: Outcome = inside.run(netns, "apply", request, directory, dry_run=dry_run)
    return done


def status(request: Request, netns: str | None = None, *, directory: Path = DIRECTORY) -> Status:
    """Whether the kernel holds what `request` wants, and what differs. Changes nothing."""
    found: Status = inside.run(netns, "status", request, directory)
    return found


def destroy(
    instance: str = "gtunnel", netns: str | None = None, *, dry_run: bool = False, directory: Path = DIRECTORY
) -> Outcome:
    """Remove all that is ours, and nothing else. Needs no configuration: ours is found by its marks.

    A legacy table that `apply` was the first to use stays, empty: see `backends.iptables_child`.
    """
    done: Outcome = inside.run(netns, "destroy", instance, directory, dry_run=dry_run)
    return done


def check(request: Request, netns: str | None = None, *, directory: Path = DIRECTORY) -> Diagnosis:
    """Why transparent connections would not work here, as far as that can be found out. Changes nothing."""
    found: Diagnosis = inside.run(netns, "check", request, directory)
    return found


def probe(request: Request, wish: Wish, netns: str | None = None) -> Probes:
    """Send one real connection for each service that it concerns, and say how far it came.

    What is set up for it is gone afterwards, however this ends; other traffic is not touched.
    """
    found: Probes = inside.run(netns, "probe", request, wish)
    return found
