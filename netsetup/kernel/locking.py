"""Waiting for a file's lock, but not for ever."""

import fcntl
import time
from typing import Final

# flock(2) knows no time limit: it is asked again after this many seconds.
_PAUSE_SECONDS: Final = 0.02


def lock_within(descriptor: int, seconds: float) -> bool:
    """Lock a file exclusively (flock(2)); False if another process held it for all of `seconds`.

    The lock goes with the descriptor, which stays the caller's to close.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
