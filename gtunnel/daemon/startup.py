"""From a configuration to a running daemon, in the order that lets every failure be told on the terminal.

    read, compile, bind     as root, nothing changed yet; the control socket with it
    preload                 what workers run, while it can be found
    detach                  the first process waits for the outcome
    chroot, log, pid file   inside the jail, as the manual says
    setgid, setuid
    workers
    the kernel              where it lives and dies with us; and only then is the start a success
"""

import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gtunnel.conf.options_global import AUTOMATIC
from gtunnel.conf.settings import Configuration, Foreground
from gtunnel.daemon import activation, privileges
from gtunnel.daemon import generation as generations
from gtunnel.daemon.control import Control, ControlError, default_path, public_path
from gtunnel.daemon.crew import SIGNALS, preload
from gtunnel.daemon.detach import Detached, detach
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.hotfiles import watching
from gtunnel.daemon.kernel import Kernel, KernelError, Untouched
from gtunnel.daemon.log import Journal, JournalLog, StartupLog, connect_syslog
from gtunnel.daemon.notify import Notifier
from gtunnel.daemon.outside import Outside
from gtunnel.daemon.peers import anybody
from gtunnel.daemon.pidfile import PidFile
from gtunnel.daemon.reception import Reception
from gtunnel.daemon.renewal import Anew, start_journal
from gtunnel.daemon.supervisor import Supervisor
from gtunnel.daemon.telling import complain
from gtunnel.daemon.terminal import ask
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net.limits import raise_descriptor_limit
from gtunnel.net.loops import LoopGuard
from gtunnel.tls.passphrases import Passphrases
from gtunnel.tls.site import Site

Load = Callable[[Log], Configuration]


def run(configuration: Configuration, load: Load, log: StartupLog, kernel: Kernel | None = None) -> int:
    """Run the daemon; returns the exit status when it ends. `load` reads the configuration again, for a reload; `log`
    has what was told so far; `kernel` is set up for the configuration."""
    journal = Journal(())
    notifier = Notifier()
    # Before anything is opened: many services need many descriptors to be compiled.
    descriptors = raise_descriptor_limit()
    try:
        identity = privileges.look_up(configuration.process)
        watch = watching(configuration)
        passphrases = Passphrases(ask)
        chroot = configuration.process.chroot
        generations.prepare_library(configuration, log)
        services = generations.compile_services(configuration, LoopGuard(), journal, log, Site(passphrases, chroot))
        passphrases.ask_no_more()
        log.write(Level.NOTICE, "Configuration successful")
        generation = generations.bind(configuration, services, None, log, activation.inherited())
        outside = replace(_outside(configuration, identity, notifier, log), kernel=kernel or Untouched())
        preload()
        # What was loaded is not looked through before it has to be, in front of the fork.
        gc.freeze()
        gc.enable()
        _hold_signals()
        detached = detach() if configuration.output.foreground is Foreground.NO else None
    except GtunnelError as error:
        return complain(log, error)
    try:
        _hand_over(generation, identity)
        pid_file = _settle(configuration, identity, journal)
    except GtunnelError as error:
        generation.close_all_but(())
        outside.close()
        return complain(log, error)
    journal_log = JournalLog(journal, configuration.log.level)
    log.replay(journal_log)
    # Inside a jail the files are others, even where they are called the same.
    watch = watch if chroot is None else watching(configuration)
    anew = Anew(load, Site(passphrases, chroot, confined=True), watch)
    supervisor = Supervisor(anew, generation, journal, descriptors=descriptors, outside=outside)
    return _serve(supervisor, detached, pid_file, generation, journal_log)


def _serve(
    supervisor: Supervisor, detached: Detached | None, pid_file: PidFile | None, generation: Generation, log: Log
) -> int:
    try:
        try:
            started = supervisor.start(detached.release if detached is not None else _nothing)
            reason = "The workers did not start (see the log)"
        except KernelError as error:
            log.write(Level.CRIT, str(error))
            started, reason = False, str(error)
        if not started:
            sys.stderr.write(f"[!] {reason}\n")
            generation.close_all_but(())
            return 1
        if detached is not None:
            detached.ready()
        supervisor.supervise()
        return 0
    finally:
        if pid_file is not None:
            pid_file.remove()


def _outside(configuration: Configuration, identity: privileges.Identity, notifier: Notifier, log: Log) -> Outside:
    """The service manager and the control sockets. Raises `ControlError` only where the configuration asks for one."""
    process = configuration.process
    group = privileges.group_number("controlGroup", process.control_group)
    path = default_path(configuration.file) if process.control == AUTOMATIC else Path(process.control or "")
    if process.control is None or path is None:
        if group is not None:
            raise ControlError(path="(none)", reason="controlGroup needs one: set control")
        return Outside(notifier)
    try:
        control = Control(path)
    except ControlError as error:
        if process.control != AUTOMATIC or group is not None:
            raise
        log.write(Level.INFO, f"{error}: gtunnel reload will not find this process, SIGHUP does")
        return Outside(notifier)
    try:
        control.give_to(*identity.for_chown)
        owners = Reception(control, anybody)
        if group is None:
            return Outside(notifier, owners)
        public = Control(public_path(path), group)
        public.give_to(*identity.for_chown)
    except ControlError:
        control.close()
        raise
    return Outside(notifier, owners, Reception(public, lambda peer: peer.may_ask(group)))


def _hand_over(generation: Generation, identity: privileges.Identity) -> None:
    """Give the files of Unix sockets to whom we become, unless a service says whose its are. Raises `ListenError`."""
    user, group = identity.for_chown
    for listening in generation.listening:
        own_user, own_group = listening.spec.owner
        listening.give_to(user if own_user < 0 else -1, group if own_group < 0 else -1)


def _settle(
    configuration: Configuration, identity: privileges.Identity, journal: Journal
) -> PidFile | None:
    """chroot, log, pid file, privileges. Raises `GtunnelError`."""
    process = configuration.process
    connect_syslog(configuration.output, configuration.log)
    if process.chroot is not None:
        privileges.enter_root(process.chroot)
    journal.become(start_journal(configuration, configuration.output.foreground))
    if identity.user is not None:
        for file in journal.files:
            file.give_to(*identity.for_chown)
    pid_file = PidFile(process.pid_file, identity) if process.pid_file is not None else None
    privileges.become(identity)
    return pid_file


def _hold_signals() -> None:
    """From here on signals wait until the supervisor looks at them. Until here they end the process, as anybody's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Whoever started us may have ignored it, and then the kernel would not tell us of a worker's end (wait(2)).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _nothing() -> None:
    pass


