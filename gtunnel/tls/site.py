"""Where TLS contexts are built: with which passphrases, and with which files in view."""

from dataclasses import field, replace
from pathlib import Path

from gtunnel.tls.passphrases import Passphrases
from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """`chroot` is the directory that the process is to be confined to, if any; `confined` says that it is by now."""

    passphrases: Passphrases = field(default_factory=Passphrases)
    chroot: str | None = None
    confined: bool = False

    def later(self, path: str) -> Path:
        """Where a path is now that will be looked at while connections are served: inside the jail, if there is one."""
        if self.chroot is None or self.confined:
            return Path(path)
        # A relative one starts at the jail's root (privileges.enter_root goes there).
        return Path(self.chroot, path.lstrip("/"))

    @property
    def inside(self) -> "Site":
        """This one, once the process is confined."""
        return replace(self, confined=True)

    @property
    def hint(self) -> str:
        """What to add where a file is missing that may well be there for everybody else."""
        return f" (inside the chroot {self.chroot})" if self.chroot is not None and self.confined else ""
