"""The OCSP responders of a worker's services: who asks what has been asked already shares the answer.

An answer is kept until it expires, once its reader says that it is good; questions that are under way are not put
again; and a responder that cannot be reached is left in peace for a short time, so that not every connection has to
find out anew, at the price of TIMEOUTocsp each.
"""

from collections import OrderedDict
from time import monotonic
from typing import Final, TypeVar

import gevent

from gtunnel.address import HttpUrl
from gtunnel.net.posting import post
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.values import dataclass

# Together with the size below: 8 MiB for each worker at most.
MAX_ANSWERS: Final = 1024
# Answers are a few kilobytes; larger ones are asked for again.
MAX_KEPT_BYTES: Final = 8192
# How long a responder that could not be reached is not asked again, and how many of them are remembered.
SILENCE_SECONDS: Final = 5.0
MAX_SILENT: Final = 256

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Manner:
    """How to ask: for `seconds` at most (TIMEOUTocsp), from sockets with `mark` (SO_MARK; 0: none)."""

    seconds: float
    mark: int = 0


class Responders:
    """Asks them. One for each worker."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[HttpUrl | None, bytes], tuple[bytes, float]] = OrderedDict()
        self._silent: OrderedDict[HttpUrl, tuple[str, float]] = OrderedDict()
        self._asking: dict[tuple[HttpUrl, bytes], gevent.Greenlet[..., bytes | InconclusiveError]] = {}

    def kept(self, source: HttpUrl | None, request: bytes) -> bytes | None:
        """The answer that a responder (None: peers themselves, as staples) gave to a request, if it still holds."""
        found = self._kept.get((source, request))
        return found[0] if found is not None and monotonic() < found[1] else None

    def keep(self, source: HttpUrl | None, request: bytes, answer: bytes, seconds: float) -> None:
        """Keep an answer that was found to be good, as long as it holds."""
        if len(answer) > MAX_KEPT_BYTES or seconds <= 0:
            return
        _put(self._kept, (source, request), (answer, monotonic() + seconds), MAX_ANSWERS)

    def ask(self, url: HttpUrl, request: bytes, manner: Manner) -> bytes:
        """Get an answer from a responder, together with whoever is asking the same. Raises `InconclusiveError`."""
        silent = self._silent.get(url)
        if silent is not None and monotonic() < silent[1]:
            raise InconclusiveError(reason=f"{silent[0]} (a moment ago)")
        key = (url, request)
        greenlet = self._asking.get(key)
        if greenlet is None:
            greenlet = self._asking[key] = gevent.spawn(self._fetch, url, request, manner)
            # For the case that nobody waits any more. In time, those who do get there first.
            greenlet.rawlink(lambda _: gevent.get_hub().loop.run_callback(self._forget, key, greenlet))
        greenlet.join(manner.seconds)
        if not greenlet.ready():
            raise InconclusiveError(reason=_exceeded(url))
        # Only now: whoever asks between its end and our turn gets its answer too. From here on nobody else runs until
        # the answer was judged and kept.
        self._forget(key, greenlet)
        answer: bytes | InconclusiveError = greenlet.get()
        if isinstance(answer, InconclusiveError):
            # A new one: its traceback is this connection's.
            raise InconclusiveError(**answer.fields)
        return answer

    def _forget(self, key: tuple[HttpUrl, bytes], greenlet: "gevent.Greenlet[..., bytes | InconclusiveError]") -> None:
        if self._asking.get(key) is greenlet:
            del self._asking[key]

    def _fetch(self, url: HttpUrl, request: bytes, manner: Manner) -> bytes | InconclusiveError:
        # As a value: gevent prints the traceback of whatever a greenlet raises.
        deadline = gevent.Timeout(manner.seconds)
        deadline.start()
        try:
            answer = post(url, request, manner.mark)
        except InconclusiveError as error:
            return self._fall_silent(url, InconclusiveError(**error.fields))
        except gevent.Timeout as timeout:
            if timeout is not deadline:
                raise
            return self._fall_silent(url, InconclusiveError(reason=_exceeded(url)))
        finally:
            deadline.close()
        self._silent.pop(url, None)
        return answer

    def _fall_silent(self, url: HttpUrl, error: InconclusiveError) -> InconclusiveError:
        _put(self._silent, url, (str(error.fields["reason"]), monotonic() + SILENCE_SECONDS), MAX_SILENT)
        return error


def _exceeded(url: HttpUrl) -> str:
    return f"responder {url}: s_poll_wait: TIMEOUTocsp exceeded"


def _put(memory: "OrderedDict[K, V]", key: K, value: V, room: int) -> None:
    """Remember something, and forget what was put in longest ago if there is no room."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > room:
        memory.popitem(last=False)
