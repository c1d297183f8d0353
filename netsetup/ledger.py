"""What has to outlive us on disk: per instance and namespace, the sysctls' former values and which numbers are ours.

Everything else of ours is found in the kernel by its marks. The ledger is written before the first change, so that a
crash at any point can be undone; it lives in /run, and so ends with the boot that it speaks of.

The file of a namespace that went without a `destroy` stays until then, some hundred bytes. It cannot harm: a cookie is
never used again (`kernel.namespace.identity`). And it cannot be told from one that is needed: nothing lists all
namespaces (a socket, an open descriptor or a mount elsewhere keeps one alive without a process or a name in it), the
kernel finds none by its cookie, and a wrong guess would lose a sysctl's former value for good.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from netsetup.errors import LedgerError, LockError
from netsetup.kernel.locking import lock_within
from netsetup.state import Change, Claim

DIRECTORY = Path("/run/gtunnel")
"""Where the ledgers and the lock are, unless said otherwise."""

_LOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is written for one instance in one namespace. `sysctls` by path."""

    claims: tuple[Claim, ...] = ()
    sysctls: dict[str, Change] = field(default_factory=dict)


class Ledger:
    """The entries of one namespace. `namespace` is its `identity()`."""

    def __init__(self, directory: Path, namespace: str, instance: str) -> None:
        self._directory = directory
        self._namespace = namespace
        self._path = self._file(instance)

    def load(self) -> Entry | None:
        """Our own entry; None where there is none. Raises LedgerError."""
        return _read(self._path)

    def others(self) -> list[Claim]:
        """What other instances claim in this namespace."""
        claims: list[Claim] = []
        for path in sorted(self._directory.glob(f"netsetup-{self._namespace}-*.json")):
            entry = None if path == self._path else _read(path)
            claims += entry.claims if entry is not None else ()
        return claims

    def save(self, entry: Entry | None) -> None:
        """Write it in one piece, or remove it (None). Raises LedgerError."""
        try:
            if entry is None:
                self._path.unlink(missing_ok=True)
                return
            content = {
                "boot": _boot(),
                "claims": [[claim.table, claim.priority] for claim in entry.claims],
                "sysctls": {path: [change.before, change.ours] for path, change in sorted(entry.sysctls.items())},
            }
            temporary = self._path.with_suffix(".new")
            with temporary.open("w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            raise LedgerError(path=self._path, reason=error.strerror or str(error)) from error

    def _file(self, instance: str) -> Path:
        return self._directory / f"netsetup-{self._namespace}-{instance}.json"


def _read(path: Path) -> Entry | None:
    try:
        content = json.loads(path.read_text())
        entry = Entry(
            claims=tuple(Claim(int(table), int(priority)) for table, priority in content["claims"]),
            sysctls={name: Change(str(before), str(ours)) for name, (before, ours) in content["sysctls"].items()},
        )
        boot = content["boot"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(path=path, reason=error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "this is not what netsetup wrote; remove it if you know that nothing was changed"
        raise LedgerError(path=path, reason=reason) from error
    return entry if boot == _boot() else None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextlib.contextmanager
def lock(directory: Path, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Only one process at a time changes (or reads, to be sure of what it sees). Raises LockError, LedgerError.

    Programs that we start inherit it where they are let (`close_fds=False`): if we are killed, the one that is just
    changing the kernel still has the lock until it is done.
    """
    path = directory / "netsetup.lock"
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.set_inheritable(descriptor, True)
    except OSError as error:
        raise LedgerError(path=path, reason=error.strerror or str(error)) from error
    try:
        if not lock_within(descriptor, seconds):
            raise LockError(path=path, seconds=f"{seconds:g}")
        yield
    finally:
        os.close(descriptor)
