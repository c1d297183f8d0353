"""The supervisor: the process whose id is in the pid file. It owns the listening sockets, hires workers, obeys signals.

It never uses gevent: it waits for signals (`sigtimedwait`), so nothing happens in it at a time it did not choose.
"""

import os
import signal
from collections.abc import Callable
from time import monotonic
from typing import Final

from gtunnel.conf.settings import Configuration, LogMode
from gtunnel.daemon.control import Answer
from gtunnel.daemon.crew import SIGNALS, Crew, Member, Shared
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.kernel import KernelError
from gtunnel.daemon.linefile import LogFileError
from gtunnel.daemon.log import Journal, JournalLog, OverheardLog, truncate
from gtunnel.daemon.outside import Outside
from gtunnel.daemon.renewal import Anew
from gtunnel.daemon.status import Renewal, Report, Reporter
from gtunnel.events import Level, Log
from gtunnel.net.errors import errno_text
from gtunnel.tunnel.census import Census
from gtunnel.tunnel.shared import SharedCounter

# A worker that dies at once is not hired again at once: a second, then twice as long each time, up to this.
MAX_PATIENCE_SECONDS: Final = 30.0
_SHORT_LIFE_SECONDS: Final = 1.0


class Supervisor:
    """Runs a generation until a signal ends it or replaces the generation."""

    def __init__(
        self, anew: Anew, generation: Generation, journal: Journal, *, descriptors: int, outside: Outside
    ) -> None:
        """`anew` is for SIGHUP; `descriptors` is the limit of each worker."""
        self._outside = outside
        self._anew = anew
        self._watch = anew.watch
        self._generation = generation
        self._journal = journal
        # `foreground` is not reloaded (manual, SIGNALS): what the process was started with holds.
        self._foreground = generation.configuration.output.foreground
        self._descriptors = descriptors
        self._log: Log = JournalLog(journal, generation.configuration.log.level)
        self._sequence = SharedCounter()
        self._census: Census | None = None
        self._crew = Crew()
        self._reporter = Reporter()
        self._after_fork: Callable[[], None] = lambda: None
        self._patience = 0.0
        self._hire_at: float | None = None

    def start(self, after_fork: Callable[[], None]) -> bool:
        """Hire the first workers; `after_fork` runs in each of them. False if they do not come up. Raises `KernelError`
        where the kernel cannot be set up; then they are gone again."""
        self._after_fork = after_fork
        kernel, configuration = self._outside.kernel, self._generation.configuration
        kernel.check(configuration)
        members = self._hire(self._generation, self._journal, self._log)
        if not self._ready(members, self._generation):
            self._log.write(Level.CRIT, "The workers did not start")
            self._crew.dismiss(self._crew.members, self._log)
            return False
        try:
            kernel.apply(configuration, self._log)
        except KernelError:
            self._crew.dismiss(self._crew.members, self._log)
            raise
        self._log.write(Level.INFO, "Accepting new connections")
        self._warn_of_unreadable_files()
        self._outside.attend()
        self._outside.notifier.ready(self._status())
        return True

    def supervise(self) -> None:
        """Obey signals until one says stop."""
        actions: dict[int, Callable[[], object]] = {
            signal.SIGHUP: self._reload,
            signal.SIGIO: self._obey,
            signal.SIGUSR1: self._reopen,
            signal.SIGUSR2: self._list,
            signal.SIGCHLD: self._look_after_workers,
        }
        # Who connected before the socket could tell us of it.
        self._obey()
        while True:
            self._look_at_files()
            self._look_at_workers()
            received = signal.sigtimedwait(SIGNALS, self._patient_for())
            if received is None:
                if self._hire_at is not None and monotonic() >= self._hire_at:
                    self._replace_workers()
                self._obey()
                continue
            action = actions.get(received.si_signo)
            if action is None:
                self._stop(received.si_signo)
                return
            action()

    def _patient_for(self) -> float:
        """How long to wait for a signal: until somebody is to be hired or sent away, or files are to be looked at."""
        times = [self._hire_at] if self._hire_at is not None else []
        times += [self._watch.due] if self._watch is not None else []
        times += [due] if (due := self._outside.notifier.watchdog) is not None else []
        times += [due] if (due := self._outside.due) is not None else []
        return max(0.0, min(times) - monotonic()) if times else 3600.0

    def _obey(self) -> None:
        """Do what is asked for through the control sockets."""
        self._outside.obey(
            {
                "reload": lambda: self._told(self._reload),
                "reopen": lambda: self._told(self._reopen),
                "status": lambda: Answer(True, facts=self._report(detailed=False)),
                "connections": lambda: Answer(True, facts=self._report(detailed=True)),
            },
            {
                "status": lambda: Answer(True, facts=self._recent(detailed=False)),
                "connections": lambda: Answer(True, facts=self._recent(detailed=True)),
            },
        )

    def _report(self, *, detailed: bool) -> Report:
        return self._reporter.report(self._generation, self._crew.members, detailed=detailed)

    def _recent(self, *, detailed: bool) -> Report:
        return self._reporter.recent(lambda: self._report(detailed=detailed), detailed=detailed)

    def _told(self, action: Callable[[], bool]) -> Answer:
        """Do something, and keep what is logged about it."""
        overheard = OverheardLog(self._log, Level.WARNING)
        self._log = overheard
        done = action()
        if self._log is overheard:
            self._log = overheard.log
        return Answer(done, tuple(overheard.lines))

    def _look_at_workers(self) -> None:
        """Tell the service manager that we live, if it wants to know; a worker that hangs does not live on for that."""
        due = self._outside.notifier.watchdog
        if due is None or monotonic() < due:
            return
        for member in self._crew.unresponsive(self._outside.notifier.patience):
            self._log.write(Level.ERR, f"Worker {member.pid} does not answer: killed")
            member.kill()
        self._outside.notifier.alive()

    def _status(self) -> str:
        count = len(self._generation.configuration.services)
        return f"Serving {count} service{'s' * (count != 1)}"

    def _stop(self, number: int) -> None:
        self._outside.notifier.stopping()
        if number == signal.SIGTERM:
            self._log.write(Level.NOTICE, "Terminated")
        else:
            self._log.write(Level.ERR, f"Received {signal.Signals(number).name}; terminating")
        try:
            self._outside.kernel.remove(self._log)
        except KernelError as error:
            self._log.write(Level.ERR, str(error))
        self._crew.dismiss(self._crew.members, self._log)
        self._generation.close_all_but(())
        self._outside.close()

    def _hire(self, generation: Generation, journal: Journal, log: Log, count: int | None = None) -> list[Member]:
        def after_fork() -> None:
            self._leave_behind(generation, journal)

        if self._census is None and _has_limits(generation.configuration):
            try:
                self._census = Census()
            except OSError as error:
                log.write(Level.ERR, f"Cannot count connections: {errno_text(error)}")
                return []
        shared = Shared(journal, log, self._sequence, self._census, self._descriptors, after_fork)
        return self._crew.hire(generation, count or worker_count(generation.configuration), shared)

    def _leave_behind(self, generation: Generation, journal: Journal) -> None:
        """In a new worker: let go of what only the generation before needs.

        On a reload that one is still here when the next one's workers are forked. A listening socket that the new
        configuration dropped would stay open in them: clients would wait in its backlog for ever, and nobody could
        listen on that address again.
        """
        self._after_fork()
        self._outside.let_go()
        self._anew.site.passphrases.forget()
        self._generation.let_go_of_all_but(generation.listening)
        if journal is not self._journal:
            self._journal.close()

    def _ready(self, members: list[Member], generation: Generation) -> bool:
        return len(members) == worker_count(generation.configuration) and self._crew.await_ready(members)

    def _look_after_workers(self) -> None:
        for member, status in self._crew.reap():
            how = f"signal {-code}" if (code := os.waitstatus_to_exitcode(status)) < 0 else f"status {code}"
            if member.draining:
                if code:
                    self._log.write(Level.ERR, f"Draining worker {member.pid} died ({how}) with its connections")
                continue
            self._log.write(Level.ERR, f"Worker {member.pid} died ({how}), and its connections with it: replaced")
            short = monotonic() - member.started < _SHORT_LIFE_SECONDS
            if not short:
                self._patience, self._hire_at = 0.0, monotonic()
            elif self._hire_at is None:
                # Those that die together are one failure, however many workers there are.
                self._patience = min(MAX_PATIENCE_SECONDS, max(1.0, self._patience * 2))
                self._hire_at = monotonic() + self._patience
        if self._hire_at is not None and monotonic() >= self._hire_at:
            self._replace_workers()

    def _replace_workers(self) -> None:
        self._hire_at = None
        present = sum(not member.draining for member in self._crew.members)
        missing = worker_count(self._generation.configuration) - present
        if missing > 0 and len(self._hire(self._generation, self._journal, self._log, missing)) < missing:
            self._hire_at = monotonic() + MAX_PATIENCE_SECONDS

    def _reload(self) -> bool:
        """Build the next generation; let it take over when it accepts, and go on with this one otherwise."""
        self._outside.notifier.reloading()
        done = self._remembered("reload", self._renew)
        if not done:
            if (jail := self._generation.configuration.process.chroot) is not None:
                self._log.write(Level.ERR, f"The files that a reload reads are those inside of the chroot {jail}")
            self._log.write(Level.ERR, "Failed to reload the configuration file")
        self._outside.notifier.ready(self._status() if done else f"{self._status()}; the last reload failed")
        return done

    def _remembered(self, cause: str, action: Callable[[], bool]) -> bool:
        """Do something that a new generation comes of, and keep how it went for who asks later."""
        answer = self._told(action)
        self._reporter.last = Renewal(cause, answer.done, answer.lines)
        return answer.done

    def _renew(self) -> bool:
        successor = self._anew.successor(self._generation, self._foreground, self._log)
        if successor is None:
            return False
        if not self._take_over(successor.generation, successor.journal):
            return False
        self._watch = successor.watch
        self._warn_of_unreadable_files()
        return True

    def _take_over(self, generation: Generation, journal: Journal) -> bool:
        """Let the next generation's workers accept, and the old ones drain. False, and nothing has changed, if they do
        not come up, or the kernel cannot be set up for them; that was logged."""
        if not self._allowed(generation, lambda: self._outside.kernel.check(generation.configuration)):
            self._give_up(generation, journal)
            return False
        log = JournalLog(journal, generation.configuration.log.level)
        old_members = [member for member in self._crew.members if not member.draining]
        members = self._hire(generation, journal, log)
        if not self._ready(members, generation):
            self._log.write(Level.ERR, "The new workers did not start")
            self._crew.dismiss(members, self._log)
            self._give_up(generation, journal)
            return False
        if not self._allowed(generation, lambda: self._outside.kernel.apply(generation.configuration, self._log)):
            self._give_up(generation, journal)
            self._crew.drain(members)
            return False
        # Before the workers, who still serve whoever waits: what is closed last is theirs.
        self._generation.close_all_but(generation.listening)
        self._crew.drain(old_members)
        if journal is not self._journal:
            self._journal.close()
        self._generation, self._journal, self._log = generation, journal, log
        # These workers came up: what was wrong with those before need not be wrong with them.
        self._patience, self._hire_at = 0.0, None
        log.write(Level.INFO, "Accepting new connections")
        return True

    def _give_up(self, generation: Generation, journal: Journal) -> None:
        """Let go of what was opened for a generation that is none."""
        generation.close_all_but(self._generation.listening)
        if journal is not self._journal:
            journal.close()

    def _allowed(self, generation: Generation, ask: Callable[[], None]) -> bool:
        """Whether the kernel takes what the next generation needs; if not, it was logged."""
        if generation.configuration is self._generation.configuration:
            return True
        try:
            ask()
        except KernelError as error:
            self._log.write(Level.ERR, str(error))
            return False
        return True

    def _look_at_files(self) -> None:
        """Take up files that have changed, with the configuration that is running; or go on with what is in use."""
        changed = () if self._watch is None else self._watch.changed()
        if not changed:
            return
        self._log.write(Level.NOTICE, f"Files have changed: {', '.join(changed)}")
        self._remembered("files", self._renew_same)

    def _renew_same(self) -> bool:
        generation = self._anew.same(self._generation, self._journal, self._log)
        if generation is None:
            self._log.write(Level.ERR, "What has been loaded before stays in use, until the files change again")
            return False
        if self._take_over(generation, self._journal):
            self._log.write(Level.NOTICE, "Changed files are in use now")
            return True
        self._log.write(Level.ERR, "What has been loaded before stays in use")
        return False

    def _warn_of_unreadable_files(self) -> None:
        for file in () if self._watch is None else self._watch.unreadable():
            self._log.write(Level.WARNING, f"reloadCerts: {file} cannot be read any more, after setuid or chroot")

    def _reopen(self) -> bool:
        output = self._generation.configuration.output
        try:
            if output.file is not None and output.mode is LogMode.OVERWRITE:
                truncate(output.file)
            self._journal.reopen()
        except LogFileError as error:
            self._log.write(Level.ERR, str(error))
            return False
        self._crew.reopen()
        self._log.write(Level.NOTICE, "Log file reopened")
        return True

    def _list(self) -> None:
        # Asked for explicitly, so whatever the debug level; stunnel writes it as an emergency for that reason.
        log = JournalLog(self._journal, Level.DEBUG)
        log.write(Level.NOTICE, "Active connections:")
        connections = self._crew.connections()
        for number, line in enumerate(connections, 1):
            log.write(
                Level.NOTICE,
                f"Active connection {number}: Service [{line['service']}], {line['to_tls']} byte(s) sent to TLS, "
                f"{line['to_socket']} byte(s) sent to socket, from {line['peer']}",
            )
        log.write(Level.NOTICE, f"Listed {len(connections)} active connection(s)")


def worker_count(configuration: Configuration) -> int:
    """How many workers a configuration asks for; `auto` is one for each core that we may use."""
    return configuration.process.workers or len(os.sched_getaffinity(0))


def _has_limits(configuration: Configuration) -> bool:
    """Whether connections have to be counted."""
    services = (service.access for service in configuration.services)
    return configuration.process.max_connections is not None or any(
        access.connections is not None or access.per_ip is not None for access in services
    )
