"""A start: which of two kinds of process a configuration makes, a daemon or one connection of inetd(8).

Nothing here loads more than it takes to know that: in inetd mode every connection is a start.
"""

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

from gtunnel.conf.errors import ConfigError, Problem
from gtunnel.conf.settings import Configuration
from gtunnel.daemon.log import StartupLog
from gtunnel.daemon.telling import banner, complain, load_told
from gtunnel.errors import GtunnelError, UsageError
from gtunnel.events import Log
from gtunnel.tls import features

if TYPE_CHECKING:
    from gtunnel.daemon.kernel import Kernel


def run(load: Callable[[], Configuration], source: str, kernel: "Kernel | None" = None) -> int:
    """Run what a configuration says to its end; returns the exit status. `source` names it in the log. `kernel` is what
    to set up for a daemon."""
    gc.disable()  # until there is nothing more to load
    log = StartupLog()
    banner(log)

    def again(to: Log) -> Configuration:
        return load_told(lambda: _of_daemon(load()), source, to)

    try:
        features.demand()
        configuration = load_told(load, source, log)
        if configuration.inetd and kernel is not None:
            raise UsageError(detail="--netsetup: inetd mode has no daemon for the rules to live with")
    except GtunnelError as error:
        return complain(log, error)
    if configuration.inetd:
        from gtunnel.daemon import inetd

        return inetd.run(configuration, log)
    from gtunnel.daemon import startup

    return startup.run(configuration, again, log, kernel)


def _of_daemon(configuration: Configuration) -> Configuration:
    """A configuration that a running daemon can take up. Raises `ConfigError`."""
    if configuration.inetd:
        place = configuration.services[0].place
        raise ConfigError((Problem(place, "", "there is no [section], so no service would be left"),))
    return configuration
