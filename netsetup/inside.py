"""An operation in another network namespace: in a child process, so that the caller is not moved.

python -m netsetup.inside NAMESPACE      a pickled (operation, arguments, keywords) in, a pickled answer out
"""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netsetup import operations
from netsetup.doctor import checkup
from netsetup.doctor.probe import probing
from netsetup.errors import NamespaceError, NetsetupError
from netsetup.kernel import namespace

_OPERATIONS: dict[str, Callable[..., object]] = {
    "plan": operations.plan,
    "apply": operations.apply,
    "status": operations.status,
    "destroy": operations.destroy,
    "check": checkup.check,
    "probe": probing.probe,
}


def run(netns: str | None, operation: str, *arguments: object, **keywords: object) -> Any:
    """Run one of the operations: here (None), or in the namespace of that name. Raises its NetsetupError."""
    if netns is None:
        return _OPERATIONS[operation](*arguments, **keywords)
    process = subprocess.Popen(
        [sys.executable, "-m", "netsetup.inside", netns],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],  # so that -m finds netsetup, installed or not
    )
    with process:
        try:
            out, _ = process.communicate(pickle.dumps((operation, arguments, keywords)))
        except KeyboardInterrupt:
            process.wait()  # it was interrupted as well, and is undoing its work
            raise
    try:
        answer = pickle.loads(out)  # noqa: S301 - from our own child
    except (EOFError, pickle.UnpicklingError) as error:
        raise NamespaceError(name=netns, reason=f"the process in it ended with status {process.returncode}") from error
    if isinstance(answer, NetsetupError):
        raise answer
    return answer


def main(arguments: list[str]) -> int:
    """The child."""
    # Only the answer goes to standard output.
    with open(1, "wb", closefd=False) as out:
        operation, positional, keywords = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from our own parent
        try:
            namespace.enter(arguments[0])
            answer = _OPERATIONS[operation](*positional, **keywords)
        except NetsetupError as error:
            answer = error
        except KeyboardInterrupt:
            return 130
        out.write(pickle.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
