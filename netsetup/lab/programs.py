"""Where programs are looked for: also where those for the administrator are, which not every root has in PATH.

`su` without `-`, cron and a good many sudo configurations leave /usr/sbin out; Debian has ip and iptables there.
"""

import os
import shutil

ADMINISTRATOR = ("/usr/sbin", "/sbin")


def search_path() -> str:
    """PATH, and behind it the administrator's directories that it lacks."""
    own = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*own, *(directory for directory in ADMINISTRATOR if directory not in own)])


def find_program(name: str) -> str | None:
    """The path of a program, or None if there is none."""
    return shutil.which(name, path=search_path())
