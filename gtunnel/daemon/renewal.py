"""What a reload begins with: the next generation, built beside the one that runs. Whatever fails changes nothing."""

import traceback
from collections.abc import Callable
from typing import Final

from gtunnel.conf.errors import ConfigError
from gtunnel.conf.settings import Configuration, Foreground
from gtunnel.daemon import generation as generations
from gtunnel.daemon.generation import Generation, GenerationError
from gtunnel.daemon.hotfiles import Watch, watching
from gtunnel.daemon.linefile import LogFileError
from gtunnel.daemon.log import DescriptorSink, Journal, open_journal
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net.loops import LoopGuard
from gtunnel.tls.site import Site
from gtunnel.values import dataclass

STANDARD_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class Successor:
    """A generation that is to take over, where it logs, and the watch over the files that it was built from."""

    generation: Generation
    journal: Journal
    watch: Watch | None


@dataclass(frozen=True, slots=True)
class Anew:
    """How to read the configuration, where contexts are built (with which secrets), and the watch over the files that
    are in use at the start."""

    load: Callable[[Log], Configuration]
    site: Site
    watch: Watch | None = None

    def successor(self, current: Generation, foreground: Foreground, log: Log) -> Successor | None:
        """Read and build everything again; None, after logging why, where that cannot be done. `foreground`: what the
        process was started with."""
        try:
            return self._read(current, foreground, log)
        except (GenerationError, ConfigError):
            return None
        except GtunnelError as error:
            log.write(Level.ERR, str(error))
        except Exception:  # noqa: BLE001 - a bug: the old configuration goes on all the same
            _tell_bug(log)
        return None

    def _read(self, current: Generation, foreground: Foreground, log: Log) -> Successor:
        configuration = self.load(log)
        watch = watching(configuration)
        journal = Journal(())
        generations.prepare_library(configuration, log)
        services = generations.compile_services(configuration, LoopGuard(), journal, log, self.site)
        generation = generations.bind(configuration, services, current, log)
        try:
            journal.become(start_journal(configuration, foreground))
        except LogFileError:
            generation.close_all_but(current.listening)
            raise
        log.write(Level.NOTICE, "Configuration successful")
        return Successor(generation, journal, watch)

    def same(self, current: Generation, journal: Journal, log: Log) -> Generation | None:
        """Build what the running configuration says again, from files that have changed; None, after logging why,
        where that cannot be done."""
        configuration = current.configuration
        try:
            services = generations.compile_services(configuration, LoopGuard(), journal, log, self.site)
            return generations.bind(configuration, services, current, log)
        except GenerationError:
            return None
        except Exception:  # noqa: BLE001 - a bug: what is in use goes on all the same
            _tell_bug(log)
            return None


def start_journal(configuration: Configuration, foreground: Foreground) -> Journal:
    """The configured journal, and standard error with `foreground = yes`. Raises `LogFileError`."""
    journal = open_journal(configuration.output, configuration.log)
    if foreground is Foreground.YES:
        return Journal((*journal.sinks, DescriptorSink(STANDARD_ERROR)), journal.access)
    return journal


def _tell_bug(log: Log) -> None:
    for line in traceback.format_exc().splitlines():
        log.write(Level.ERR, f"INTERNAL ERROR: {line}")
