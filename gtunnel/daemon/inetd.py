"""inetd mode: the one connection that somebody else has accepted, served in this process (manual, INETD MODE).

No supervisor, no worker, no pid file, and nothing that is kept for other connections. Standard input is the connection;
where standard output is something else, what goes back is written there.

inetd(8) makes standard error the connection as well, so the log goes there only where it is something else.
"""

import gc
import importlib
import os
import signal
import socket
import stat
from typing import Final

import gevent
from gevent import get_hub

from gtunnel.address import from_sockaddr
from gtunnel.conf.settings import Configuration, Foreground
from gtunnel.daemon import generation as generations
from gtunnel.daemon import privileges
from gtunnel.daemon.log import DescriptorSink, Journal, JournalLog, StartupLog, connect_syslog, open_journal
from gtunnel.daemon.telling import complain, error_is_connection
from gtunnel.errors import GtunnelError
from gtunnel.events import Level
from gtunnel.net import libwrap
from gtunnel.net.loops import LoopGuard
from gtunnel.net.plumbing import Plumbing
from gtunnel.net.transparency import Accepted
from gtunnel.net.wrappers import Wrappers
from gtunnel.tls.site import Site
from gtunnel.tunnel.connection import Connection, client_address
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace

STANDARD_ERROR: Final = 2
_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
_LOOK_SECONDS: Final = 0.01


def run(configuration: Configuration, log: StartupLog) -> int:
    """Serve the connection; returns the exit status, which tells of the configuration and not of the connection."""
    journal = Journal(())
    aloud = configuration.output.foreground is Foreground.YES and not error_is_connection()
    # Now: in a chroot there is perhaps none.
    null = os.open(os.devnull, os.O_RDWR)
    try:
        identity = privileges.look_up(configuration.process)
        site = Site(chroot=configuration.process.chroot)
        generations.prepare_library(configuration, log)
        (service,) = generations.compile_services(configuration, LoopGuard(), journal, log, site)
        log.write(Level.NOTICE, "Configuration successful")
        _settle(configuration, identity, journal, aloud=aloud)
    except GtunnelError as error:
        return complain(log, error)
    log.replay(JournalLog(journal, configuration.log.level))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    gc.freeze()
    gc.enable()
    entrance = _Entrance(null)
    # Who is asked is a process of its own: forked while there is no loop, and without the connection.
    workplace = Workplace(sequence=SharedCounter(), wrappers=_wrappers(service))
    workplace.account = None if journal.access is None else journal.access.append
    entrance.open()
    served = gevent.spawn(_serve, service, entrance, workplace)
    watchers = [get_hub().loop.signal(number) for number in _ENDINGS]
    for watcher in watchers:
        watcher.start(served.kill, gevent.GreenletExit, False)
    served.join()
    entrance.drain()
    # They were told, or given their time (`Program.leave`): nothing is left behind.
    while workplace.programs.running:
        gevent.sleep(_LOOK_SECONDS)
    return 0


class _Entrance:
    """Where the connection comes in: standard input, and standard output where that is something else.

    Both are let go of at once, so that nobody else has them: no program, and nobody who would keep the peer waiting.
    """

    def __init__(self, null: int) -> None:
        self._plumbing: Plumbing | None = None
        self._is_socket = stat.S_ISSOCK(os.fstat(0).st_mode) and os.path.sameopenfile(0, 1)
        self._descriptors = os.dup(0), os.dup(1)
        for number in (0, 1, STANDARD_ERROR) if error_is_connection() else (0, 1):
            os.dup2(null, number)
        os.close(null)

    def open(self) -> None:
        """Make it a socket, whatever it is."""
        incoming, outgoing = self._descriptors
        if self._is_socket:
            os.close(outgoing)
            self.sock = socket.socket(fileno=incoming)
            self.sock.setblocking(False)
        else:
            self._plumbing = Plumbing(incoming, outgoing)
            self.sock = self._plumbing.sock

    def accepted(self) -> Accepted:
        """The connection, as an acceptor would have it."""
        try:
            client, own = from_sockaddr(self.sock.getpeername()), from_sockaddr(self.sock.getsockname())
        except OSError:
            client = own = None
        return Accepted(self.sock, client_address(client), own)

    def drain(self) -> None:
        """Wait until all has been written."""
        if self._plumbing is not None:
            self._plumbing.drain()


def _serve(service: Service, entrance: _Entrance, workplace: Workplace) -> None:
    Connection(service, entrance.accepted(), workplace).serve()


def _settle(configuration: Configuration, identity: privileges.Identity, journal: Journal, *, aloud: bool) -> None:
    """chroot, log, privileges. Raises `GtunnelError`."""
    process = configuration.process
    connect_syslog(configuration.output, configuration.log)
    if process.chroot is not None:
        # All that is loaded at first use, as for a worker: it could not be found inside.
        importlib.import_module("gtunnel.daemon.worker")
        privileges.enter_root(process.chroot)
    opened = open_journal(configuration.output, configuration.log)
    journal.become(Journal((*opened.sinks, DescriptorSink(STANDARD_ERROR)), opened.access) if aloud else opened)
    privileges.become(identity)


def _wrappers(service: Service) -> Wrappers | None:
    library = libwrap.load() if service.settings.access.libwrap else None
    return None if library is None else Wrappers(library)
