"""The process that a probe's network lives in. It makes one connection, prints its hops as JSON, and ends.

    python -m netsetup.doctor.probe.child PARENT      an attempt as JSON in, {"hops": …} or {"reason": …} out

It dies with its parent (prctl(2), PR_SET_PDEATHSIG), and with it all that it has made: see `wires`.
"""

import ctypes
import json
import os
import signal
import sys
from contextlib import closing
from typing import Any

from netsetup.doctor.probe.attempts import Attempt
from netsetup.doctor.probe.journey import Journey
from netsetup.doctor.probe.wires import Wires, WiringError, in_use
from netsetup.errors import NetsetupError
from netsetup.kernel.sockdiag import tcp_sockets

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """See the module's text."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(arguments[0]):
        return 1  # it has gone already
    given = json.load(sys.stdin)
    given["targets"] = tuple((host, port) for host, port in given["targets"])
    print(json.dumps(_answer(Attempt(**given))))  # noqa: T201 - that is how the parent hears it
    return 0


def _answer(attempt: Attempt) -> dict[str, Any]:
    try:
        if in_use(attempt.source, attempt.family) or any(one.peer == attempt.source for one in tcp_sockets()):
            return {"reason": f"a machine has the address {attempt.source}: `--from` another one"}
        with closing(Wires(attempt)) as wires:
            journey = Journey(attempt, wires)
            return {"hops": [(hop.name, hop.state.value, hop.text) for hop in journey.hops()]}
    except (WiringError, NetsetupError, OSError) as error:
        return {"reason": str(error)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
