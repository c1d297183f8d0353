"""What a demonstration can fail with."""

from gtunnel.errors import GtunnelError


class DemoError(GtunnelError):
    """Something did not go as shown. `log`: the last lines of the program concerned."""

    template = "{what}\n{log}"


class DirectoryError(DemoError):
    """The files have to go somewhere."""

    template = "{path}: {reason}"


class LabTakenError(DemoError):
    """The lab that the demonstration would make is there. `command` removes it."""

    template = """\
{reason}
Another demonstration may be running: then wait for it, or choose another name. If it is a remnant, remove it:
  {command}"""


class LabLeftError(DemoError):
    """The lab could not be removed. `command` tries again."""

    template = "{reason}\nWhat is left is removed by:\n  {command}"


class OutputError(DemoError):
    """Nobody can read what we say."""

    template = "standard output: {reason}"
