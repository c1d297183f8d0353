"""Everything netsetup may raise at its callers: one base class, a template and fields per error.

Errors cross process boundaries (a namespace is entered in a child process), so they pickle by their fields.
"""

import functools
from typing import ClassVar


class NetsetupError(Exception):
    """The base of all. `fields` fill the class's `template`; the text is a whole sentence for the administrator."""

    template: ClassVar[str] = "{reason}"

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.template.format(**fields))

    def __reduce__(self) -> tuple[object, ...]:
        return functools.partial(type(self), **self.fields), ()


class RequestError(NetsetupError):
    """The request contradicts itself or holds a value that no kernel takes. Fields: where, reason."""

    template = "{where}: {reason}"


class ImpossibleError(NetsetupError):
    """The request is well formed, but the kernel cannot do it. Fields: service, what, why, instead."""

    template = "[{service}]: {what} is not possible: {why}; {instead}"


class CollisionError(NetsetupError):
    """Something of others stands where ours would have to go. Fields: what, owner, instead."""

    template = "{what} is taken by something that is not ours ({owner}); {instead}"


class CapabilityError(NetsetupError):
    """The process may not change the network. Fields: capability."""

    template = "this needs {capability}; run it as root"


class BackendError(NetsetupError):
    """The backend that was asked for cannot be used here. Fields: backend, reason, instead."""

    template = "netBackend = {backend}: {reason}; {instead}"


class NamespaceError(NetsetupError):
    """A network namespace cannot be entered. Fields: name, reason."""

    template = "network namespace {name!r} cannot be entered: {reason}"


class FirewallError(NetsetupError):
    """The firewall refused something, or what it holds afterwards is not what was written. Fields: unit, reason."""

    template = "{unit}: {reason}"


class RoutingError(NetsetupError):
    """The kernel refused an ip rule or a route. Fields: what, reason."""

    template = "{what}: {reason}"


class NetworkReadError(NetsetupError):
    """A program that shows the network's state failed. Fields: what (the command), reason."""

    template = "{what}: {reason}"


class ProbeError(NetsetupError):
    """There is nothing to probe. Fields: reason."""

    template = "nothing to probe: {reason}"


class SocketListError(NetsetupError):
    """The kernel does not list its sockets. Fields: reason."""

    template = "the kernel does not list its TCP sockets: {reason}"


class SysctlError(NetsetupError):
    """A sysctl cannot be read or written. Fields: name, reason."""

    template = "sysctl {name}: {reason}"


class LockError(NetsetupError):
    """Another process holds a lock for too long. Fields: path, seconds."""

    template = "{path} is still held by another process after {seconds} seconds"


class LedgerError(NetsetupError):
    """Our notes about the state before us cannot be read or written. Fields: path, reason."""

    template = "{path}: {reason}"


class StepError(NetsetupError):
    """A step failed; what had been done was undone. Fields: step, reason."""

    template = "failed at: {step}: {reason}; everything done before it was undone"


class UndoError(NetsetupError):
    """A step failed, and undoing the earlier ones failed as well. Fields: step, reason, undo_step, undo_reason."""

    template = (
        "failed at: {step}: {reason}; then undoing failed at: {undo_step}: {undo_reason}; "
        "run destroy to remove what is left"
    )


class ConvergenceError(NetsetupError):
    """All steps succeeded, yet reading back shows a difference. Fields: difference."""

    template = "the kernel accepted every step but does not hold what was asked for ({difference}); it was undone"
