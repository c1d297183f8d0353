"""How a service's programs are started: what is known of it before there is a connection. Nothing here knows gevent."""

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from gtunnel.conf.settings import ProgramSettings
from gtunnel.values import dataclass

# What systemd says to gtunnel, and not to its programs.
PRIVATE_VARIABLES: Final = (
    *("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a service's programs are started. `environment` is what all of them get; `aloud`: their standard error is
    ours, not the connection. `mark`: the SO_MARK of gtunnel's own sockets. `preload`: a library that tells the program
    who the client is (`transparent = source`)."""

    settings: ProgramSettings
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    aloud: bool = False
    mark: int = 0
    preload: str | None = None

    def variables(self, told: Mapping[str, str]) -> dict[str, str]:
        """The environment of a program. `told`: what is about its connection."""
        found = {**self.environment, **told}
        if self.preload is not None:
            # Beside what others want to be preloaded (ld.so(8)).
            found["LD_PRELOAD"] = ":".join(filter(None, (self.preload, found.get("LD_PRELOAD"))))
        return found


def base_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """Our own environment, without what is for us alone, and with `setEnv`."""
    ours = {name: value for name, value in os.environ.items() if name not in PRIVATE_VARIABLES}
    return {**ours, **additions}


def refusal(path: Path) -> str | None:
    """Why a program could not be run; None if it could, as far as this can be told without doing it."""
    if not path.exists():
        return "there is no such program"
    if not path.is_file() or not os.access(path, os.X_OK):
        return "this is no program that can be run"
    return None
