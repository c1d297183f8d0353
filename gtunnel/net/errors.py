"""What sockets fail with. The wording is that of stunnel's log where it has one."""

import errno
import os

from gtunnel.errors import GtunnelError, ReachError
from gtunnel.events import Level


class SocketError(GtunnelError):
    """The kernel refused an operation on a socket. `operation` is a system call or a step with a name."""

    template = "{operation}: {reason}"
    # The errno; 0 where it is none of the kernel's.
    number = 0

    @classmethod
    def of(cls, operation: str, error: OSError) -> "SocketError":
        """Translate an `OSError`, in the form `connect: Connection refused (111)`."""
        problem = cls(operation=operation, reason=errno_text(error))
        problem.number = error.errno or 0
        return problem


class WaitTimeoutError(GtunnelError):
    """A TIMEOUT option was exceeded. `waiting` is what was being done, `option` the option's name."""

    template = "{waiting}: s_poll_wait: {option} exceeded: {consequence}"
    level = Level.INFO


class NoTargetError(ReachError):
    """None of a service's targets could be connected. `number`: why the last one could not."""

    template = "No more addresses to connect"

    def __init__(self, number: int = errno.EHOSTUNREACH) -> None:
        self.number = number
        super().__init__()


class OwnAddressError(ReachError):
    """An address of ours that nothing can be opened at for a client: it may not be there (any more)."""

    template = "{option} = {host}: {reason}"
    # What is wrong is nothing that the client could do something about.
    number = 0


class ResolveError(ReachError):
    """A host name has no address."""

    template = "Error resolving {host!r}: {reason}"


class OriginError(GtunnelError):
    """It cannot be told where a transparent connection was going, or it was going to ourselves."""

    template = "transparent: {reason}"


class LoopError(OriginError):
    """A transparent connection that would lead to ourselves."""


class ListenError(GtunnelError):
    """A listening socket could not be made."""

    template = "bind: {address}: {reason}"


def errno_text(error: OSError) -> str:
    """`Connection refused (111)`, as stunnel's log shows an errno."""
    if error.errno is None:
        return str(error)
    return f"{os.strerror(error.errno)} ({error.errno})"
