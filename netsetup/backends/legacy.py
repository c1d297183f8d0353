"""What legacy iptables holds in this namespace, as far as it can be seen without python-iptables.

Asking a table that is not loaded would load it, for good: so only loaded ones are asked.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from netsetup.state import Family

PROGRAMS = {Family.IPV4: "iptables-legacy", Family.IPV6: "ip6tables-legacy"}
"""Never plain `iptables`: on Debian that is the nft variant, which neither shows nor removes what is ours."""

_NAMES = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}
_SECONDS = 60.0


def loaded(family: Family) -> tuple[str, ...]:
    """The names of the tables that the kernel has loaded."""
    try:
        return tuple((Path("/proc/self/net") / _NAMES[family]).read_text().split())
    except OSError:
        return ()


def saved(family: Family, table: str) -> str | None:
    """A loaded table as iptables-save prints it; None where there is no such program, or it fails."""
    program = f"{PROGRAMS[family]}-save"
    if shutil.which(program) is None:
        return None
    done = subprocess.run(
        [program, "-t", table], capture_output=True, text=True, check=False, timeout=_SECONDS, errors="replace"
    )
    return done.stdout if done.returncode == 0 else None


def tables_in_use() -> tuple[str, ...]:
    """Loaded tables with a rule or a policy that is not ACCEPT: "iptables-legacy nat". Empty ones harm nobody."""
    return tuple(_in_use())


def _in_use() -> Iterator[str]:
    for family, program in PROGRAMS.items():
        for table in loaded(family):
            text = saved(family, table)
            if text is None or any(map(_does_something, text.splitlines())):
                yield f"{program} {table}"


def _does_something(line: str) -> bool:
    return line.startswith("-A") or (line.startswith(":") and line.split()[1] == "DROP")
