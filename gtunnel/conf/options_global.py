"""Options of the process: what stands before the first section and holds for all of it."""

import re

from gtunnel.conf.option import BadValueError, Scope, Single
from gtunnel.conf.parsers import choice, group, integer, path, path_or_none, text_of, user, yes_no
from gtunnel.conf.settings import Foreground, LogMode, LogSettings, NetBackend
from gtunnel.events import Level

# syslog(3)'s facilities, as stunnel takes them: without the aliases that other programs have.
FACILITIES: tuple[str, ...] = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp"),
    *(f"local{number}" for number in range(8)),
)
LEVELS = {level.name.lower(): level for level in Level} | {str(level.value): level for level in Level}

# More workers than any machine has cores to run them on is a typing error; each costs tens of megabytes.
MAX_WORKERS = 256
# Linux takes 32 bits (RTA_TABLE); 0 is "unspecified", 253 to 255 are default, main and local (rt_tables).
MAX_TABLE = 2**32 - 1
RESERVED_TABLES = (253, 254, 255)
# Three rules have to stand before the main table's, whose priority is 32766 (ip-rule(8)).
MAX_PRIORITY = 32763
MAX_MARK = 2**32 - 1
DEFAULT_MARK_MASK = 0xFF
# divert, own, local: see NetSettings.
MARKS_NEEDED = 3
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


def routing_table(text: str) -> int:
    """Parse a routing table's number that is free for us."""
    number = integer(1, MAX_TABLE, "Illegal routing table")(text)
    if number in RESERVED_TABLES:
        raise BadValueError(f"Illegal routing table: {number} is one of the kernel's own")
    return number


def marks(text: str) -> tuple[int, int]:
    """Parse `FIRST[/MASK]`, decimal or hexadecimal, into the first mark and the mask.

    Three marks are needed, a step (the mask's lowest bit) apart, all of them inside the mask and none of them 0.
    """
    first_text, slash, mask_text = text.partition("/")
    first = _mark(first_text)
    mask = _mark(mask_text) if slash else DEFAULT_MARK_MASK
    step = mask & -mask
    contiguous = mask != 0 and (mask // step) & (mask // step + 1) == 0
    if not contiguous:
        raise BadValueError("Illegal mark: the mask needs one unbroken run of bits, such as 0xff00")
    last = first + (MARKS_NEEDED - 1) * step
    if first == 0 or first & ~mask or last & ~mask:
        raise BadValueError(
            f"Illegal mark: {first:#x} to {last:#x} ({MARKS_NEEDED} marks, {step:#x} apart) "
            f"do not fit the mask {mask:#x}"
        )
    return first, mask


def _mark(text: str) -> int:
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}|0", text.strip()) is None or int(text, 0) > MAX_MARK:
        raise BadValueError("Illegal mark: FIRST or FIRST/MASK is needed, such as 0x1/0xff")
    return int(text, 0)


CHROOT = Single[str | None](
    name="chroot",
    scope=Scope.GLOBAL,
    parse=path,
    default=None,
    metavar="DIRECTORY",
    help="confine the process to this directory",
)
DEBUG = Single(
    name="debug",
    scope=Scope.GLOBAL,
    parse=log_settings,
    default=LogSettings(level=Level.NOTICE, facility="daemon"),
    metavar="[FACILITY.]LEVEL",
    help="how much is logged (emerg to debug, or 0 to 7), and syslog's facility",
    default_text="daemon.notice",
)
FOREGROUND = Single(
    name="foreground",
    scope=Scope.GLOBAL,
    parse=choice(Foreground),
    default=Foreground.NO,
    metavar="yes|quiet|no",
    help="stay in the foreground; 'yes' also logs to standard error",
)
LOG = Single(
    name="log",
    scope=Scope.GLOBAL,
    parse=choice(LogMode),
    default=LogMode.APPEND,
    metavar="append|overwrite",
    help="what opening the log file does to its old content",
)
OUTPUT = Single[str | None](
    name="output",
    scope=Scope.GLOBAL,
    parse=path,
    default=None,
    metavar="FILE",
    help="file that the log is written to",
)
PID = Single[str | None](
    name="pid",
    scope=Scope.GLOBAL,
    parse=path_or_none,
    default=None,
    metavar="FILE",
    help="file that holds the process id; empty for none",
)
RELOAD_CERTS = Single(
    name="reloadCerts",
    scope=Scope.GLOBAL,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="take up changed files of certificates, keys, CAs, CRLs and PSKs without a signal",
    since="gtunnel 0.1",
)
SERVICE_IDENT = Single(
    name="service",
    scope=Scope.GLOBAL,
    parse=text_of("a name", MAX_IDENT),
    default="stunnel",
    metavar="NAME",
    help="name that syslog shows for the process",
)
SETGID = Single[str | None](
    name="setgid",
    scope=Scope.GLOBAL,
    parse=group,
    default=None,
    metavar="GROUP",
    help="group to run as once everything is open",
)
SETUID = Single[str | None](
    name="setuid",
    scope=Scope.GLOBAL,
    parse=user,
    default=None,
    metavar="USER",
    help="user to run as once everything is open",
)
SYSLOG = Single(
    name="syslog",
    scope=Scope.GLOBAL,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="log to syslog",
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
)
NET_BACKEND = Single(
    name="netBackend",
    scope=Scope.GLOBAL,
    parse=choice(NetBackend),
    default=NetBackend.AUTO,
    works_for=(NetBackend.AUTO, NetBackend.IPTABLES),
    metavar="auto|iptables|nftables",
    help="what netsetup writes firewall rules with",
    since="gtunnel 0.1",
    default_text="auto",
)
NET_MARK = Single(
    name="netMark",
    scope=Scope.GLOBAL,
    parse=marks,
    default=(0x1, DEFAULT_MARK_MASK),
    metavar="FIRST[/MASK]",
    help="first of three firewall marks, and the bits that are ours",
    since="gtunnel 0.1",
    default_text="0x1/0xff",
)
NET_TABLE = Single(
    name="netTable",
    scope=Scope.GLOBAL,
    parse=routing_table,
    default=100,
    metavar="NUMBER",
    help="routing table that netsetup may fill",
    since="gtunnel 0.1",
    default_text="100",
)
NET_PRIORITY = Single(
    name="netPriority",
    scope=Scope.GLOBAL,
    parse=integer(1, MAX_PRIORITY, "Illegal rule priority"),
    default=5000,
    metavar="NUMBER",
    help="priority of the first of netsetup's three ip rules",
    since="gtunnel 0.1",
    default_text="5000",
)

OPTIONS = (
    CHROOT,
    DEBUG,
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
    NET_BACKEND,
    NET_MARK,
    NET_TABLE,
    NET_PRIORITY,
)
