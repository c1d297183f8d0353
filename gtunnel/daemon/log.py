"""Where log lines go: standard error, a file, syslog; and the logs that write to them.

A line is `YYYY.MM.DD hh:mm:ss LOG5[id]: text`, as stunnel's; syslog gets it without the time. Every process writes for
itself: files are opened for appending, so lines of several workers never mix. A sink that fails loses its line, never
the service.
"""

import contextlib
import os
import syslog
import time
from collections.abc import Iterable
from typing import Final, Protocol

from gtunnel.conf.settings import LogMode, LogOutput, LogSettings
from gtunnel.daemon.linefile import LineFile, LogFileError, open_file
from gtunnel.events import Level, Log

# Bytes. A line longer than a pipe's atomic write (4096) could mix with another process's.
MAX_LINE: Final = 4000
# Lines that are kept for who asked for a reload.
MAX_OVERHEARD: Final = 200


class Sink(Protocol):
    """A place for lines."""

    def write(self, level: Level, text: str) -> None:
        """Write `LOG5[id]: text`, at once. Never raises."""

    def reopen(self) -> None:
        """Close and open again, after a rotation. Raises `LogFileError` and keeps the old one."""


class DescriptorSink:
    """A descriptor that somebody else opened: standard error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, level: Level, text: str) -> None:  # noqa: ARG002
        """See `Sink`."""
        _put(self._descriptor, text)

    def reopen(self) -> None:
        """Nothing to open."""


class FileSink(LineFile):
    """The file of `output =`."""

    def __init__(self, file: str, mode: LogMode) -> None:
        """Open it; `mode` OVERWRITE empties it. Raises `LogFileError`."""
        super().__init__(file, truncate=mode is LogMode.OVERWRITE)

    def write(self, level: Level, text: str) -> None:  # noqa: ARG002
        """See `Sink`."""
        self.append(_timed(text))


class SyslogSink:
    """syslog(3). The process has one connection to the system logger. It is made at once, and outlives a chroot."""

    def __init__(self, ident: str, facility: str) -> None:
        code = getattr(syslog, f"LOG_{facility.upper()}", syslog.LOG_DAEMON)
        # Without a process id, as stunnel's lines are: filters match "stunnel: LOG5[0]: …".
        syslog.openlog(ident, syslog.LOG_NDELAY, code)

    def write(self, level: Level, text: str) -> None:
        """See `Sink`."""
        with contextlib.suppress(OSError, ValueError):
            syslog.syslog(int(level), text)

    def reopen(self) -> None:
        """Nothing to open."""


class Journal:
    """All that the process writes: the log's sinks and the access log. Replaced as a whole on reload: `become`."""

    def __init__(self, sinks: Iterable[Sink], access: LineFile | None = None) -> None:
        """`access` is the file of `accessLog =`; None where there is none. Both are the journal's to close."""
        self._sinks = tuple(sinks)
        self._access = access

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Where lines go now."""
        return self._sinks

    @property
    def access(self) -> LineFile | None:
        """Where the lines about connections go now."""
        return self._access

    @property
    def files(self) -> tuple[LineFile, ...]:
        """All files that it owns."""
        log = tuple(sink for sink in self._sinks if isinstance(sink, FileSink))
        return log if self._access is None else (*log, self._access)

    def become(self, other: "Journal") -> None:
        """Take over another's sinks and access log; whoever holds a log goes on with them."""
        old = self.files
        self._sinks, self._access = other.sinks, other.access
        for file in old:
            if file not in self.files:
                file.close()

    def close(self) -> None:
        """Let go of all sinks, and of the files that they own; lines go nowhere then."""
        self.become(Journal(()))

    def write(self, level: Level, identifier: str, message: str) -> None:
        """Write one line to all sinks."""
        text = f"LOG{int(level)}[{identifier}]: {printable(message)}"
        for sink in self._sinks:
            sink.write(level, text)

    def reopen(self) -> None:
        """Reopen all. Raises `LogFileError` after trying each; the line of who complains still goes to the old one."""
        failed: LogFileError | None = None
        access = () if self._access is None else (self._access,)
        for reopen in (one.reopen for one in (*self._sinks, *access)):
            try:
                reopen()
            except LogFileError as error:
                failed = error
        if failed is not None:
            raise failed


class JournalLog:
    """A log with a threshold and a name in the brackets."""

    __slots__ = ("_identifier", "_journal", "threshold")

    def __init__(self, journal: Journal, threshold: Level, identifier: str = "ui") -> None:
        self._journal = journal
        self._identifier = identifier
        self.threshold = threshold

    def write(self, level: Level, message: str) -> None:
        """See `Log`."""
        if level <= self.threshold:
            self._journal.write(level, self._identifier, message)

    def named(self, identifier: str) -> Log:
        """See `Log`."""
        return JournalLog(self._journal, self.threshold, identifier)


class OverheardLog:
    """Passes lines on, and keeps the urgent ones for whoever asked for what they are about."""

    def __init__(self, log: Log, threshold: Level) -> None:
        """`threshold`: what is kept."""
        self.log = log
        self.lines: list[str] = []
        self.threshold = log.threshold
        self._kept = threshold

    def write(self, level: Level, message: str) -> None:
        """See `Log`."""
        if level <= self._kept and len(self.lines) < MAX_OVERHEARD:
            self.lines.append(printable(message))
        self.log.write(level, message)

    def named(self, identifier: str) -> Log:
        """The same log by another name; what is said there is not kept."""
        return self.log.named(identifier)


class StartupLog:
    """Keeps lines until it is known where they go: the configuration says that, and reading it has much to tell."""

    threshold = Level.DEBUG

    def __init__(self) -> None:
        self._lines: list[tuple[Level, str]] = []

    def write(self, level: Level, message: str) -> None:
        """Keep a line."""
        self._lines.append((level, message))

    def named(self, identifier: str) -> Log:  # noqa: ARG002
        """Itself: nothing but the start logs here."""
        return self

    def replay(self, log: Log) -> None:
        """Pass on what was kept."""
        for level, message in self._lines:
            log.write(level, message)
        self._lines.clear()

    def short(self, threshold: Level) -> list[str]:
        """The kept lines as stunnel prints them where there is no log yet: `[!] text`."""
        return [f"{_mark(level)} {printable(text)}" for level, text in self._lines if level <= threshold]


def open_journal(output: LogOutput, log: LogSettings) -> Journal:
    """Open what the configuration asks for, besides standard error. Raises `LogFileError`."""
    journal = Journal(())
    try:
        if output.file is not None:
            journal = Journal([FileSink(output.file, output.mode)])
        access = None if output.access is None else LineFile(output.access)
    except LogFileError:
        journal.close()
        raise
    syslog_sinks = [SyslogSink(output.ident, log.facility)] if output.syslog else []
    return Journal([*journal.sinks, *syslog_sinks], access)


def connect_syslog(output: LogOutput, log: LogSettings) -> None:
    """Connect to the system logger where the configuration wants it: the last chance to before a chroot."""
    if output.syslog:
        SyslogSink(output.ident, log.facility)


def truncate(file: str) -> None:
    """Empty a log file (`log = overwrite`). Raises `LogFileError`."""
    os.close(open_file(file, truncate=True))


def printable(text: str) -> str:
    """Escape what could forge a line or drive a terminal: control characters, and everything not printable."""
    escaped = text
    if not text.isprintable():
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    # A character has at most four bytes: short lines, nearly all, are not measured.
    if len(escaped) * 4 <= MAX_LINE or len(encoded := escaped.encode()) <= MAX_LINE:
        return escaped
    return encoded[:MAX_LINE].decode(errors="ignore") + "..."


def _mark(level: Level) -> str:
    if level <= Level.ERR:
        return "[!]"
    if level == Level.WARNING:
        return "[:]"
    return "[.]" if level == Level.NOTICE else "[ ]"


def _timed(text: str) -> str:
    return f"{time.strftime('%Y.%m.%d %H:%M:%S')} {text}"


def _put(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{_timed(text)}\n".encode("utf-8", "backslashreplace"))
