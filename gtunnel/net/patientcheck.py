"""Checking a password without holding up anybody but who said it."""

from collections.abc import Callable
from typing import Final

import gevent
from gevent import get_hub

# What a wrong guess costs, for who guesses. People do not mind.
FAILURE_SECONDS: Final = 2.0


def check(accept: Callable[[bytes, bytes], bool], name: bytes, password: bytes) -> bool:
    """Whether it is right, computed in gevent's thread pool; if it is not, the answer takes a while."""
    right: bool = get_hub().threadpool.apply(accept, (name, password))
    if not right:
        gevent.sleep(FAILURE_SECONDS)
    return right
