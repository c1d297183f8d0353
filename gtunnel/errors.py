"""The one family of errors. Each class carries its template, its fields and the level it is logged at.

Foreign exceptions (OpenSSL's, the kernel's errno) become one of these at the floor that met them, chained with
`raise … from`. The spine of a connection turns one error into one log line; anything that is not a `GtunnelError`
is a bug and logs a traceback.
"""

import errno
from typing import ClassVar

from gtunnel.events import Level


class GtunnelError(Exception):
    """Base of everything that gtunnel raises on purpose. `fields` fill `template`; `str()` is the log line.

    The text is made when it is asked for: many an error is answered without anybody reading it.
    """

    template: ClassVar[str] = "{detail}"
    level: ClassVar[Level] = Level.ERR

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__()

    def __str__(self) -> str:
        return self.template.format(**self.fields)


class AddressError(GtunnelError):
    """A text that is no address."""

    template = "{text!r} is not an address: {reason}"


class ReachError(GtunnelError):
    """A target that could not be connected to. `number` is the errno that says why best; EHOSTUNREACH where its name
    has no address."""

    number = errno.EHOSTUNREACH


class UsageError(GtunnelError):
    """The command line makes no sense. Exit status 1, as stunnel's."""
