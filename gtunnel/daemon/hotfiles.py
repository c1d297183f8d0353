"""Files that change while they are in use (`reloadCerts`): certificates, keys, whom to trust, revocation lists.

They are looked at every few seconds, and not by inotify: what is watched may be a symbolic link whose target changes
(certbot), or whose directory does (Kubernetes), and no kernel tells of that. A change counts once the files have stayed
as they are for a while: nobody writes a certificate and its key in one instant.
"""

import os
import stat
from collections.abc import Iterable
from time import monotonic
from typing import Final

from gtunnel.conf.settings import Configuration
from gtunnel.tls.files import files_of

# How often to look; a change is taken up when two looks in a row have seen the same.
INTERVAL_SECONDS: Final = 2.0
# A directory of certificates to trust has some hundred files; what comes after so many is not looked at.
MAX_ENTRIES: Final = 4096

Signature = tuple[object, ...]


class Watch:
    """Notices that files are not what they were. Make it before they are read."""

    def __init__(self, files: Iterable[str]) -> None:
        self.files = tuple(dict.fromkeys(files))
        self.due = monotonic() + INTERVAL_SECONDS
        self._taken = self._look()
        self._waiting: dict[str, Signature] | None = None

    def changed(self) -> tuple[str, ...]:
        """Look, if it is time to: the files that have changed since the last change was told, and do not any more."""
        if monotonic() < self.due:
            return ()
        self.due = monotonic() + INTERVAL_SECONDS
        now = self._look()
        if now == self._taken:
            self._waiting = None
            return ()
        if now != self._waiting:
            self._waiting = now
            return ()
        changed = tuple(file for file in self.files if now[file] != self._taken[file])
        self._taken, self._waiting = now, None
        return changed

    def unreadable(self) -> tuple[str, ...]:
        """The files that are there for us no more, after chroot and setuid."""
        return tuple(file for file in self.files if not os.access(file, os.R_OK))

    def _look(self) -> dict[str, Signature]:
        return {file: _signature(file) for file in self.files}


def watching(configuration: Configuration) -> Watch | None:
    """A watch over all files that a configuration's services name; None if it does not ask for one."""
    if not configuration.process.reload_certs:
        return None
    return Watch(file for service in configuration.services for file in files_of(service))


def _signature(path: str) -> Signature:
    """What differs as soon as a file does, or one in a directory does. Links are followed."""
    try:
        status = os.stat(path)  # noqa: PTH116 - one call for each file, every few seconds
        own = _of(status)
        if not stat.S_ISDIR(status.st_mode):
            return own
        with os.scandir(path) as entries:
            names = sorted(entry.path for entry in entries)[:MAX_ENTRIES]
    except OSError as error:
        return (error.errno,)
    return (own, *(_entry(name) for name in names))


def _entry(path: str) -> Signature:
    try:
        return (path, *_of(os.stat(path)))  # noqa: PTH116
    except OSError as error:
        return (path, error.errno)


def _of(status: os.stat_result) -> Signature:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
