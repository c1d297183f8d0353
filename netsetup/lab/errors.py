"""What can go wrong with a lab."""

from netsetup.errors import NetsetupError


class LabError(NetsetupError):
    """Base of the lab's errors: what happened, and what to do."""


class NotRootError(LabError):
    """Network namespaces are root's."""

    template = "the lab needs root: it makes network namespaces"


class BadNameError(LabError):
    """The name would not do as a file name below /run/netns."""

    template = "{name!r} cannot name a lab: at most {limit} letters, digits, '-', '_' and '.', starting with a letter"


class UnknownHostError(LabError):
    """There are three hosts."""

    template = "the lab has no host {host!r}: the hosts are {known}"


class NoLabError(LabError):
    """A command for a lab that is not up."""

    template = "lab {name} is not up"


class LabExistsError(LabError):
    """The lab is up already, and the caller wanted one of its own."""

    template = "lab {name} is up already: take it down first, or choose another name"


class LabIncompleteError(LabError):
    """Somebody was interrupted the hard way, or is at work right now."""

    template = "lab {name} is there in part only ({present}): take it down, then try again"


class ForeignNamespaceError(LabError):
    """A namespace with the name that we want, but without our mark. We neither use nor delete it."""

    template = "network namespace {namespace} is there already and was not made by a lab: choose another name"


class CommandFailedError(LabError):
    """`ip` did not do what we asked for."""

    template = "`{command}` failed: {reason}"
