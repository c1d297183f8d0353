"""Which processes have a socket, and whether they have the rights that transparency needs (proc(5))."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from netsetup.doctor.facts import Owner

_PROC = Path("/proc")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_ENOUGH = 1 << 12 | 1 << 13
"""CAP_NET_ADMIN, CAP_NET_RAW: either allows IP_TRANSPARENT and SO_MARK (capabilities(7))."""


def owners(inodes: Iterable[int]) -> Mapping[int, tuple[Owner, ...]]:
    """The processes that have these sockets open. What ends meanwhile, or may not be looked at, is left out."""
    wanted = set(inodes) - {0}
    found: dict[int, list[Owner]] = {}
    if not wanted:
        return {}
    for process in _PROC.iterdir():
        if process.name.isdigit():
            for inode in _sockets(process) & wanted:
                owner = _owner(process)
                if owner is not None:
                    found.setdefault(inode, []).append(owner)
    return {inode: tuple(sorted(some, key=lambda owner: owner.pid)) for inode, some in found.items()}


def _sockets(process: Path) -> set[int]:
    found: set[int] = set()
    try:
        for descriptor in (process / "fd").iterdir():
            match = _SOCKET.fullmatch(str(descriptor.readlink()))
            if match is not None:
                found.add(int(match[1]))
    except OSError:
        pass  # it has ended, or is not ours to look at
    return found


def _owner(process: Path) -> Owner | None:
    try:
        fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
        effective = int(fields["CapEff"], 16)
    except (OSError, KeyError, ValueError):
        return None
    return Owner(pid=int(process.name), name=fields["Name"].strip(), may_be_transparent=bool(effective & _ENOUGH))
