"""The library that tells programs who the client is (gtunnel/preload/peername.c), where there is one."""

from pathlib import Path
from typing import Final

from gtunnel import preload

NAME: Final = "peername.so"
# Debian's stunnel4 brings one as well. It knows IPv4 addresses.
DEBIAN: Final = ("lib/*/stunnel/libstunnel.so", "lib/stunnel/libstunnel.so")


def library(beside: Path = Path(preload.__file__).parent, system: Path = Path("/usr")) -> Path | None:
    """The library to preload: ours where it was built, else Debian's; None if there is neither."""
    ours = beside / NAME
    if ours.is_file():
        return ours.resolve()
    return next((found for pattern in DEBIAN for found in sorted(system.glob(pattern))), None)
