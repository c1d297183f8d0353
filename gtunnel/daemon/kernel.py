"""The kernel's side of a configuration, where it lives and dies with the process (`gtunnel run --netsetup`).

This floor knows when the kernel is to be set up, and not how: whoever starts the daemon hands in a `Kernel`.

    first    it is asked whether it could be set up, before a worker is started: nearly all that can fail fails here.
    start    the ports are bound, the workers accept, and only then is traffic led to them: none is captured that nobody
             serves. Ready is told afterwards, so whoever waits for that knows that the rules are there.
    reload   the new workers accept as well as the old ones, then the rules change, and then the old ones drain. A
             configuration whose rules cannot be had is refused like any other broken one; should that be found so late
             that its workers have accepted somebody, they serve him to his end.
    end      the rules go first: who comes now goes where he would have gone without us.
"""

from typing import Protocol

from gtunnel.conf.settings import Configuration
from gtunnel.errors import GtunnelError
from gtunnel.events import Log


class KernelError(GtunnelError):
    """The kernel cannot be set up, or what was set up cannot be removed."""

    template = "netsetup: {reason}"


class Kernel(Protocol):
    """Sets the kernel up. Whatever way this process ends, also by SIGKILL, what was set up goes with it."""

    def check(self, configuration: Configuration) -> None:
        """Find out whether `apply` would work, and change nothing. Raises `KernelError`."""

    def apply(self, configuration: Configuration, log: Log) -> None:
        """Make the kernel hold what a configuration needs. Raises `KernelError`, and then it holds what it did."""

    def remove(self, log: Log) -> None:
        """Remove it all. Raises `KernelError`."""

    def let_go(self) -> None:
        """Close this process's copies: what a worker does."""


class Untouched:
    """The kernel is somebody else's business: `gtunnel netsetup apply`, or nobody's."""

    def check(self, configuration: Configuration) -> None:
        """Nothing to find out."""

    def apply(self, configuration: Configuration, log: Log) -> None:
        """Nothing to do."""

    def remove(self, log: Log) -> None:
        """Nothing to do."""

    def let_go(self) -> None:
        """Nothing to close."""
