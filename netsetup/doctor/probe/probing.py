"""The probe as an operation: plans attempts, and gives each to a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from netsetup.doctor.gather import outline
from netsetup.doctor.packet import Truth
from netsetup.doctor.probe.attempts import Attempt, Refusal, Wish, attempts
from netsetup.doctor.probe.hops import Hop, Probed, Probes
from netsetup.errors import ProbeError
from netsetup.kernel import namespace
from netsetup.model import Request

_SECONDS = 60.0
"""For one attempt; the hops' own limits add up to half of that."""


def probe(request: Request, wish: Wish) -> Probes:
    """Make one connection for each service and IP version. Raises ProbeError if there is nothing to try, and
    CapabilityError."""
    namespace.require_net_admin()
    planned = attempts(outline(request), wish)
    if not planned:
        raise ProbeError(reason="no service is as --service, --from and --to say")
    return Probes.of(_made(one) for one in planned)


def _made(planned: Attempt | Refusal) -> Probed:
    if isinstance(planned, Refusal):
        return Probed(title=planned.title, hops=(_not_sent(planned.reason),))
    return Probed(title=planned.title, hops=_hops(planned))


def _not_sent(reason: str) -> Hop:
    return Hop(name="sent", state=Truth.UNKNOWN, text=f"not tried: {reason}")


def _hops(attempt: Attempt) -> tuple[Hop, ...]:
    process = subprocess.Popen(
        [sys.executable, "-m", "netsetup.doctor.probe.child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],  # so that -m finds netsetup, installed or not
    )
    with process:
        try:
            out, complaint = process.communicate(json.dumps(asdict(attempt)), timeout=_SECONDS)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                return (_not_sent("the probe did not come to an end"),)
            raise
    try:
        answer = json.loads(out)
    except ValueError:
        last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        return (_not_sent(f"the probe's process ended with status {process.returncode}: {last[0]}"),)
    if "reason" in answer:
        return (_not_sent(answer["reason"]),)
    return tuple(Hop(name=name, state=Truth(state), text=text) for name, state, text in answer["hops"])
