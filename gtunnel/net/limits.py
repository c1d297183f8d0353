"""The descriptor limit: raised as far as allowed, and known, so that accepting can wait instead of failing."""

import contextlib
import resource
from pathlib import Path
from typing import Final

# Two sockets for each connection; the rest is for logs, listeners, the loop's own and certificate files.
RESERVED_DESCRIPTORS: Final = 64
DESCRIPTORS_PER_CONNECTION: Final = 2
# The program's end, and its process, are one each as well.
DESCRIPTORS_WITH_PROGRAM: Final = 4
# Enough for half a million connections. The kernel's default ceiling (fs.nr_open) is the same.
WANTED_DESCRIPTORS: Final = 1 << 20
# What this process was started with, as (soft, hard): programs that it starts get the same.
STARTED_WITH: Final = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> int:
    """Raise RLIMIT_NOFILE: past the hard limit where that is permitted, else up to it. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for ceiling in (min(WANTED_DESCRIPTORS, _kernel_ceiling()), hard):
        if hard != resource.RLIM_INFINITY and ceiling < hard:
            continue
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, max(ceiling, hard)))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def connections_within(descriptors: int, *, listeners: int, each: int = DESCRIPTORS_PER_CONNECTION) -> int:
    """How many connections a process may have at a time without running out of descriptors; at least one.

    `each`: what one of them takes.
    """
    return max(1, (descriptors - RESERVED_DESCRIPTORS - listeners) // each)


def _kernel_ceiling() -> int:
    try:
        return int(Path("/proc/sys/fs/nr_open").read_text())
    except (OSError, ValueError):
        return WANTED_DESCRIPTORS
