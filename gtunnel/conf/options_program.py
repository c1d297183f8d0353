"""Options of the programs that are run for connections (manual, options exec, execArgs, pty, retry)."""

from gtunnel.conf.option import BadValueError, Repeated, Scope, Single
from gtunnel.conf.parsers import MAX_SECONDS, alternatives, integer, text_of, yes_no

# Between two runs of a program that ends at once. stunnel's own delay.
RETRY_SECONDS = 1.0

program_path = text_of("a path")
_milliseconds = integer(1, MAX_SECONDS, f"The argument needs to be {alternatives('yes', 'no')}, or milliseconds")


def arguments(text: str) -> tuple[str, ...]:
    """Parse words between white space; there is no quoting (manual, BUGS)."""
    words = tuple(text.split())
    if not words:
        raise BadValueError("the program's name is missing")
    return words


def retry(text: str) -> float | None:
    """Parse `yes`, `no`, or milliseconds: the seconds between two runs, None for one run only."""
    if text.lower() in {"yes", "no"}:
        return RETRY_SECONDS if text.lower() == "yes" else None
    return _milliseconds(text) / 1000


def variable(text: str) -> tuple[str, str]:
    """Parse `NAME=VALUE`. The value is perhaps a secret: no reason quotes it."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise BadValueError("NAME=VALUE is needed")
    return name, value.strip()


EXEC = Single[str | None](
    name="exec",
    scope=Scope.SERVICE,
    parse=program_path,
    default=None,
    metavar="PROGRAM",
    help="program to run for each connection",
    more=(
        "Instead of `connect`: the program talks to the client on its standard input and output, as one that inetd "
        "starts. Its whole path is needed (with `chroot`, inside the jail). With `connect` and without `accept` it is "
        "the other way round: the program is started once, and is the client. The program gets REMOTE_HOST and "
        "REMOTE_PORT, SSL_CLIENT_DN and SSL_CLIENT_I_DN (subject and issuer of a client's certificate), and the rest "
        "of the environment of gtunnel. Its standard error is that of gtunnel with `foreground = yes`, else it goes to "
        "the client as well. It is a process group of its own, which is ended with the connection."
    ),
)
EXEC_ARGS = Single[tuple[str, ...]](
    name="execArgs",
    scope=Scope.SERVICE,
    parse=arguments,
    default=(),
    metavar="$0 $1 ...",
    help="the program's arguments, its name first",
    more=(
        "Words between spaces; there is no quoting. Without this, the program gets its path as its name, and no "
        "arguments."
    ),
)
PTY = Single(
    name="pty",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="run the program on a pseudo-terminal",
    default_text="no",
    more=(
        "For programs that want a terminal, such as pppd or a shell. It is the program's controlling terminal, and "
        "closing the connection hangs it up."
    ),
)
RETRY = Single[float | None](
    name="retry",
    scope=Scope.SERVICE,
    parse=retry,
    default=None,
    metavar="yes|no|MILLISECONDS",
    help="start the program of exec and connect again when the connection has ended",
    default_text="no",
    more="`retry = yes` waits a second before, `retry = 500` half of that.",
)
SET_ENV = Repeated[tuple[str, str]](
    name="setEnv",
    scope=Scope.GLOBAL,
    parse=variable,
    metavar="NAME=VALUE",
    help="environment of started programs",
    secret=True,
    more="For engines and providers of OpenSSL as well. Several lines for several variables.",
)

OPTIONS = (EXEC, EXEC_ARGS, PTY, RETRY, SET_ENV)
