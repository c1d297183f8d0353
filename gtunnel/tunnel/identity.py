"""Connection identifiers: the text in the brackets of `LOG5[…]` (manual, option logId)."""

import os
import secrets
import threading
from collections.abc import Callable

from gtunnel.conf.settings import LogId

# 88 bits: no two of 10**9 connections in all of a fleet are likely to share one.
_UNIQUE_BYTES = 11


def make(kind: LogId, sequence: Callable[[], int]) -> str:
    """An identifier for a new connection. `sequence` counts the connections of all workers."""
    if kind is LogId.SEQUENTIAL:
        return str(sequence())
    if kind is LogId.UNIQUE:
        return secrets.token_hex(_UNIQUE_BYTES)
    if kind is LogId.THREAD:
        return str(threading.get_native_id())
    return str(os.getpid())
