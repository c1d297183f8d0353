"""What a start tells: who is starting, what the configuration says, and why it failed if it did."""

import os
import stat
import sys
import syslog
from collections.abc import Callable

from gtunnel.conf.advice import warnings
from gtunnel.conf.errors import ConfigError
from gtunnel.conf.settings import Configuration
from gtunnel.daemon.log import StartupLog, printable
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.tls import features
from gtunnel.version import VERSION


def banner(log: Log) -> None:
    """Say what is starting."""
    log.write(Level.NOTICE, f"gtunnel {VERSION} on {os.uname().machine}-{sys.platform} platform")
    log.write(Level.NOTICE, f"Running  with {features.library_version()} ({features.built_with()})")


def load_told(load: Callable[[], Configuration], source: str, log: Log) -> Configuration:
    """Read the configuration and tell what is to be told of it. `source` is its name. Raises `ConfigError`."""
    log.write(Level.NOTICE, f"Reading configuration from {source}")
    try:
        configuration = load()
    except ConfigError as error:
        for problem in error.problems:
            log.write(Level.ERR, str(problem))
        log.write(Level.ERR, "Configuration failed")
        raise
    for note in configuration.notes:
        log.write(Level.DEBUG, note)
    for advice in warnings(configuration):
        log.write(Level.WARNING, str(advice))
    return configuration


def complain(log: StartupLog, error: GtunnelError) -> int:
    """Tell why the start failed, and return the exit status.

    On the terminal; where standard error is the connection itself, as inetd(8) gives it, to the system logger.
    """
    lines = log.short(Level.WARNING)
    text = str(error)
    if not any(line.endswith(text) for line in lines) and not isinstance(error, ConfigError):
        lines.append(f"[!] {text}")
    if error_is_connection():
        syslog.openlog("gtunnel", syslog.LOG_NDELAY, syslog.LOG_DAEMON)
        for line in lines:
            syslog.syslog(syslog.LOG_ERR, printable(line))
    else:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    return 1


def error_is_connection() -> bool:
    """Whether standard error is the socket that standard input is."""
    try:
        error, entrance = os.fstat(2), os.fstat(0)
    except OSError:
        return False
    return stat.S_ISSOCK(error.st_mode) and (error.st_dev, error.st_ino) == (entrance.st_dev, entrance.st_ino)
