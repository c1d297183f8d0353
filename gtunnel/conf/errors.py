"""The one error that reading a configuration raises. It holds every problem that was found, not only the first."""

import enum
import re

from gtunnel.conf.settings import Place, ServiceSettings
from gtunnel.errors import GtunnelError
from gtunnel.values import dataclass

# Enough of a line to recognise it; a pasted certificate must not flood the log.
MAX_SHOWN_TEXT = 100

COMMENT_HINT = "a comment needs a line of its own"
_COMMENT = re.compile(r"\s[;#]")
# Settings that lines of another option fill as well.
_FILLED_BY = {
    "sslVersionMin": ("sslVersion", "sslVersionMin"),
    "sslVersionMax": ("sslVersion", "sslVersionMax"),
}


class Reason(enum.StrEnum):
    """Reasons that stunnel's users (and their log filters) know by their wording."""

    INVALID_NAME = "Specified option name is not valid here"
    NO_EQUALS_SIGN = "No '=' found"
    ENDPOINTS = "Each service must define two endpoints"
    INETD_ENDPOINT = "Inetd mode must define one endpoint"
    CERTIFICATE = "TLS server needs a certificate"
    TRUST = 'Either "CAfile" or "CApath" has to be configured'
    SUBJECT_CHECKS = 'Either "verifyChain" or "verifyPeer" has to be enabled'
    NO_PRIMARY = "SNI section name not found"
    PRIMARY_IS_CLIENT = "SNI primary service is a TLS client"
    VIRTUAL_NAME = "Invalid SNI parameter format"
    REDIRECT_CLIENT = '"redirect" is unsupported in client sections'
    REDIRECT_CHECKS = 'Either "verifyChain" or "verifyPeer" has to be enabled for "redirect" to work'
    REDIRECT_PROTOCOL = '"redirect" is incompatible with the specified protocol negotiation'
    INETD_LIMITS = "Inetd mode: who accepts the connections counts them (xinetd: instances, per_source)"
    CONTROL_GROUP = '"controlGroup" needs a control socket, and "control" says that there is none'
    TICKET_SECRETS = '"ticketKeySecret" and "ticketMacSecret" must be set together'
    VERSION_RANGE = "Invalid protocol version range"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, the line as written (secrets masked), why, and what was perhaps meant.

    `file` only (line 0) for what concerns a file as a whole.
    """

    place: Place
    text: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        where = str(self.place) if self.place.line else self.place.file
        text = f'"{shown(self.text)}": ' if self.text else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}: {text}{self.reason}{hint}"


def comment_hint(text: str) -> str:
    """The hint for a line that does not work and may have been meant to end earlier; "" if it was not."""
    return COMMENT_HINT if _COMMENT.search(text) else ""


def problem_of(
    service: ServiceSettings, option: str, reason: object, *, value: object = None, shown_value: object = ""
) -> Problem:
    """A problem of a service that came to light after reading, at the line of the option (with this value, if it is
    given). What stands nowhere is a default: then it is shown (`shown_value`) at the section's place.
    """
    options = _FILLED_BY.get(option, (option,))
    line = service.lines.last(*options, value=value) or service.lines.last(*options)
    if line is None:
        return Problem(service.place, "", f"Service [{service.name}]: {option} = {shown_value}: {reason}")
    return Problem(line.place, line.text, f"Service [{service.name}]: {reason}", comment_hint(line.text))


class ConfigError(GtunnelError):
    """A configuration that gtunnel does not run with. `problems` stand in the order of the files' lines."""

    template = "{detail}"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(detail="\n".join(str(problem) for problem in problems))


def shown(text: str) -> str:
    """`text` fit for one line of a log: control characters escaped, long text cut."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escaped if len(escaped) <= MAX_SHOWN_TEXT else escaped[: MAX_SHOWN_TEXT - 3] + "..."
