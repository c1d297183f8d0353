"""What an option is: one row of the table. Everything that depends on an option's name is a field here."""

import enum
from collections.abc import Callable
from typing import Generic, TypeVar

from gtunnel.errors import AddressError
from gtunnel.values import dataclass

# Rows are frozen, so a row of a narrower type is a row of the wider one: the table is a tuple of Row[object].
T_co = TypeVar("T_co", covariant=True)

NOT_YET = "this does not work yet in gtunnel"
# For `Row.needs`.
SHARED_OPENSSL = "OpenSSL as a shared library, as with a distribution's own Python packages; PyPI's wheels cannot do it"


class Scope(enum.Enum):
    """Where an option may stand. A service option before the first section is a default for all services.

    An option that means one thing for the process and another for a service (debug, setuid, setgid, service) has two
    rows with the same name.
    """

    GLOBAL = "global"
    SERVICE = "service"


class Topic(enum.Enum):
    """The chapters of the reference (`conf.manual`), in its order."""

    PROCESS = "The process"
    LOG = "Logging"
    SERVICE = "Services and connections"
    TRANSPARENCY = "Transparent proxying"
    IDENTITY = "Certificates, keys and names"
    VERIFICATION = "Verification"
    OCSP = "OCSP"
    POLICY = "TLS versions, ciphers and options"
    SESSIONS = "Sessions"
    LIBRARY = "OpenSSL as a library"
    PROTOCOLS = "Programs, access and protocols"
    IGNORED = "Without a meaning here"


class BadValueError(ValueError):
    """A value that the option's parser does not take. The text is the reason shown to the user."""


# No slots: a generic class notes what it was made with (`Single[str]`), which slotted frozen ones fail at.
@dataclass(frozen=True, kw_only=True)
class Row(Generic[T_co]):
    """One option.

    `metavar` and `help` are for people; `more`, in the reference under `topic`, is what a line cannot say (Markdown, of
    which only `code` is used; every `option = value` in it is one that works); `needs` is what not every build has.
    `default_text` is what `gtunnel -version` lists (None: not listed).
    `works_for` restricts the values that work: None means all do, an empty tuple none; `refusal` says why the others do
    not. A value that is the same as what gtunnel does anyway belongs into `works_for`: it asks for nothing.
    `ignored` is for options without a meaning here: why, as a note for the log; the value is not even parsed.
    `secret` keeps the value out of every message; its parser's reasons must not quote it.
    """

    name: str
    scope: Scope
    parse: Callable[[str], T_co]
    metavar: str
    help: str
    since: str = "stunnel 4"
    aliases: tuple[str, ...] = ()
    works_for: tuple[T_co, ...] | None = None
    refusal: str = NOT_YET
    ignored: str = ""
    secret: bool = False
    default_text: str | None = None
    topic: Topic = Topic.PROTOCOLS
    more: str = ""
    needs: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All spellings, the proper one first."""
        return (self.name, *self.aliases)

    @property
    def works(self) -> bool:
        """Whether any value has an effect (or is what happens anyway)."""
        return not self.ignored and self.works_for != ()

    def read(self, text: str) -> T_co:
        """Parse `text` and refuse what does not work. Raises `BadValueError`."""
        try:
            value = self.parse(text)
        except AddressError as error:
            raise BadValueError(str(error)) from error
        if self.works_for is not None and value not in self.works_for:
            raise BadValueError(self.refusal)
        return value


@dataclass(frozen=True, kw_only=True)
class Single(Row[T_co]):
    """An option with one value: the last one written counts, as in stunnel."""

    default: T_co


@dataclass(frozen=True, kw_only=True)
class Repeated(Row[T_co]):
    """An option whose lines add up, after those of the defaults before the first section, after `default`."""

    default: tuple[T_co, ...] = ()
