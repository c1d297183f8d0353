"""Options of the process: what stands before the first section and holds for all of it."""

from gtunnel.address import MAX_UNIX_PATH
from gtunnel.conf.option import BadValueError, Scope, Single, Topic
from gtunnel.conf.parsers import choice, group, integer, path, path_or_none, seconds, text_of, user, yes_no
from gtunnel.conf.settings import Foreground, LogMode, LogSettings
from gtunnel.events import Level

# syslog(3)'s facilities, as stunnel takes them: without the aliases that other programs have.
FACILITIES: tuple[str, ...] = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp"),
    *(f"local{number}" for number in range(8)),
)
LEVELS = {level.name.lower(): level for level in Level} | {str(level.value): level for level in Level}

# `control`: by the name of the configuration file. No path is like that.
AUTOMATIC = "auto"
# A day: long enough for who works in a session, and no configuration is reloaded so often that old workers pile up.
DRAIN_SECONDS = 86400
# More workers than any machine has cores to run them on is a typing error; each costs tens of megabytes.
MAX_WORKERS = 256
# The longest ident that syslog daemons keep (RFC 5424, APP-NAME).
MAX_IDENT = 48


def debug_level(text: str) -> Level:
    """Parse a level's name or number, in any case."""
    if text.lower() not in LEVELS:
        raise BadValueError("Illegal debug level")
    return LEVELS[text.lower()]


def log_settings(text: str) -> LogSettings:
    """Parse `[FACILITY.]LEVEL`."""
    facility, dot, level = text.rpartition(".")
    facility = facility.lower() if dot else "daemon"
    if facility not in FACILITIES:
        raise BadValueError("Illegal syslog facility")
    return LogSettings(level=debug_level(level), facility=facility)


def workers(text: str) -> int | None:
    """Parse `auto` (None) or a number."""
    return None if text.lower() == "auto" else integer(1, MAX_WORKERS, "'auto' or a number of workers")(text)


def control_socket(text: str) -> str | None:
    """Parse an absolute path, which means the same to the process and to commands; empty: none."""
    found = path_or_none(text)
    if found is not None and not found.startswith("/"):
        raise BadValueError("an absolute path is needed, as commands are started elsewhere")
    if found is not None and len(found.encode()) > MAX_UNIX_PATH:
        raise BadValueError(f"a Unix socket's path has at most {MAX_UNIX_PATH} bytes")
    return found


ACCESS_LOG = Single[str | None](
    name="accessLog",
    scope=Scope.GLOBAL,
    parse=path,
    default=None,
    metavar="FILE",
    help="file that gets a line about each connection when it has ended",
    since="gtunnel 0.1",
    topic=Topic.LOG,
    more=(
        "Who connected, whom it was for, what it was connected to, TLS, bytes, how long it took and how it ended, as "
        "`key=value`; docs/diagnostics.md explains the line. The file is opened, made, and reopened after a rotation "
        "as that of `output` is; `log = overwrite` does not empty it. Without the option there are no such lines."
    ),
)
CHROOT = Single[str | None](
    name="chroot",
    scope=Scope.GLOBAL,
    parse=path,
    default=None,
    metavar="DIRECTORY",
    help="confine the process to this directory",
    topic=Topic.PROCESS,
    more=(
        "What the start reads (certificates, keys, `CAfile`) and binds comes from outside of the jail. `output` and "
        "`pid` are made inside; `CApath` and `CRLpath` are looked into while connections are served, so inside as "
        "well; and so is whatever a reload reads, by the same names as seen from the jail. Syslog is connected to "
        "before. A reload cannot change it."
    ),
)
CONTROL = Single[str | None](
    name="control",
    scope=Scope.GLOBAL,
    parse=control_socket,
    default=AUTOMATIC,
    metavar="PATH",
    help="Unix socket through which commands reach the running process",
    since="gtunnel 0.1",
    topic=Topic.PROCESS,
    more=(
        "`gtunnel reload`, `reopen` and `status` use it. Only root and the user of `setuid` may. By default it is made "
        "in /run/gtunnel/control (or below XDG_RUNTIME_DIR), by the name of the configuration file, so that the "
        "commands find it; where that cannot be, there is none. An empty value makes none. It is made before `chroot`, "
        "and a reload cannot change it."
    ),
)
CONTROL_GROUP = Single[str | None](
    name="controlGroup",
    scope=Scope.GLOBAL,
    parse=group,
    default=None,
    metavar="GROUP",
    help="group whose members may ask with gtunnel status",
    since="gtunnel 0.1",
    topic=Topic.PROCESS,
    more=(
        "A name that exists on this machine, or a number. Members see everything that `gtunnel status` shows, names in "
        "certificates and addresses of clients too, and can do nothing else. They have a socket of their own for that, "
        "beside that of `control` and with `.status` at its end. Without the option only root and the user of `setuid` "
        "may. A reload cannot change it."
    ),
)
DEBUG = Single(
    name="debug",
    scope=Scope.GLOBAL,
    parse=log_settings,
    default=LogSettings(level=Level.NOTICE, facility="daemon"),
    metavar="[FACILITY.]LEVEL",
    help="how much is logged (emerg to debug, or 0 to 7), and syslog's facility",
    default_text="daemon.notice",
    topic=Topic.LOG,
    more=(
        "Levels are those of syslog: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info`, `debug`, or 0 to "
        "7. Facilities are `auth`, `authpriv`, `cron`, `daemon`, `ftp`, `kern`, `lpr`, `mail`, `news`, `syslog`, "
        "`user`, `uucp` and `local0` to `local7`. `debug = 5` tells of each connection's beginning and end, `debug "
        "= local3.info` more and to another facility. A service may have a level of its own."
    ),
)
FOREGROUND = Single(
    name="foreground",
    scope=Scope.GLOBAL,
    parse=choice(Foreground),
    default=Foreground.NO,
    metavar="yes|quiet|no",
    help="stay in the foreground; 'yes' also logs to standard error",
    topic=Topic.PROCESS,
    more=(
        "With `foreground = no` gtunnel detaches, and the command returns when the services accept connections "
        "(exit status 0) or cannot (1). With `foreground = yes` it stays where it was started, and logs there as "
        "well as to `output` and syslog; `foreground = quiet` stays without logging there. Service supervisors such "
        "as systemd want one of the two. A reload cannot change it."
    ),
)
LOG = Single(
    name="log",
    scope=Scope.GLOBAL,
    parse=choice(LogMode),
    default=LogMode.APPEND,
    metavar="append|overwrite",
    help="what opening the log file does to its old content",
    topic=Topic.LOG,
    more=(
        "`log = overwrite` empties the file when it is opened: at the start, on a reload, and when SIGUSR1 asks for "
        "it. `log = append` never removes anything."
    ),
)
OUTPUT = Single[str | None](
    name="output",
    scope=Scope.GLOBAL,
    parse=path,
    default=None,
    metavar="FILE",
    help="file that the log is written to",
    topic=Topic.LOG,
    more=(
        "All processes append to it, whole lines. It is opened after chroot, by whoever starts gtunnel, and made "
        "with mode 0640. After renaming it (logrotate), send SIGUSR1."
    ),
)
PID = Single[str | None](
    name="pid",
    scope=Scope.GLOBAL,
    parse=path_or_none,
    default=None,
    metavar="FILE",
    help="file that holds the process id; empty for none",
    topic=Topic.PROCESS,
    more=(
        "The id is the supervisor's, which takes the signals. The file is written before privileges are dropped, so "
        "`pid = /run/gtunnel.pid` works together with setuid; inside of chroot, if there is one. An empty value "
        "means none. A symbolic link in its place is refused. A reload cannot change it."
    ),
)
RELOAD_CERTS = Single(
    name="reloadCerts",
    scope=Scope.GLOBAL,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="take up changed files of certificates, keys, CAs, CRLs and PSKs without a signal",
    since="gtunnel 0.1",
    topic=Topic.PROCESS,
    more=(
        "The supervisor looks at `cert`, `key`, `CAfile`, `CApath`, `CAstore` (files), `CRLfile`, `CRLpath` and "
        "`PSKsecrets` of all services every two seconds. When something has changed and stays as it is for one more "
        "look, the running configuration is compiled anew and takes over as after SIGHUP: live connections go on "
        "with what they began with. What cannot be compiled (half a file, a key that does not belong to its "
        "certificate) leaves the old in use, with a line in the log, until the files change again. After setuid the "
        "files have to be readable for that user. Passphrases given at the start are remembered."
    ),
)
SERVICE_IDENT = Single(
    name="service",
    scope=Scope.GLOBAL,
    parse=text_of("a name", MAX_IDENT),
    default="stunnel",
    metavar="NAME",
    help="name that syslog shows for the process",
    topic=Topic.LOG,
    more=(
        "Before the first section, this names the process for syslog; in a section the same option names the service."
    ),
)
SETGID = Single[str | None](
    name="setgid",
    scope=Scope.GLOBAL,
    parse=group,
    default=None,
    metavar="GROUP",
    help="group to run as once everything is open",
    topic=Topic.PROCESS,
    more=(
        "A name that exists on this machine, or a number. All other groups are given up. Without it, `setuid` "
        "brings the user's own group."
    ),
)
SETUID = Single[str | None](
    name="setuid",
    scope=Scope.GLOBAL,
    parse=user,
    default=None,
    metavar="USER",
    help="user to run as once everything is open",
    topic=Topic.PROCESS,
    more=(
        "A name that exists on this machine, or a number. Files are read and ports bound before, as root; a reload "
        "happens as this user, who then has to be able to read what changed. Not together with `transparent = "
        "source`, `transparent = both` or `captureLocal = yes`, which need root's rights for each connection."
    ),
)
SYSLOG = Single(
    name="syslog",
    scope=Scope.GLOBAL,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="log to syslog",
    topic=Topic.LOG,
    more=(
        "In addition to `output`. With `syslog = no`, without `output` and not in the foreground, nothing is logged "
        "anywhere; `gtunnel check` warns of that."
    ),
)
DRAIN_TIMEOUT = Single[float | None](
    name="drainTimeout",
    scope=Scope.GLOBAL,
    parse=lambda text: seconds("drain")(text) or None,
    default=float(DRAIN_SECONDS),
    metavar="SECONDS",
    help="how long connections may go on after a reload",
    since="gtunnel 0.1",
    default_text=str(DRAIN_SECONDS),
    topic=Topic.PROCESS,
    more=(
        "A reload leaves live connections alone: the workers that have them serve them to their end, beside new ones "
        "with the new configuration, and need memory as long. What is left of them after this time is closed, and the "
        "log says how many there were. The default is a day; 0 lets them go on for ever, as in stunnel."
    ),
)
WORKERS = Single[int | None](
    name="workers",
    scope=Scope.GLOBAL,
    parse=workers,
    default=None,
    metavar="auto|NUMBER",
    help="worker processes; auto starts one for each core",
    since="gtunnel 0.1",
    default_text="auto",
    topic=Topic.PROCESS,
    more=(
        "Each worker is a process that serves any connection of any service; together they use all cores. What can "
        "be observed does not depend on their number: sessions, tickets, round robin and connection ids are shared. "
        "`workers = 1` comes closest to stunnel. Between 1 and 256; each costs some tens of megabytes."
    ),
)
OPTIONS = (
    ACCESS_LOG,
    CHROOT,
    CONTROL,
    CONTROL_GROUP,
    DEBUG,
    DRAIN_TIMEOUT,
    FOREGROUND,
    LOG,
    OUTPUT,
    PID,
    RELOAD_CERTS,
    SERVICE_IDENT,
    SETGID,
    SETUID,
    SYSLOG,
    WORKERS,
)
