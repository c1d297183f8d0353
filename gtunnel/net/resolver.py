"""Look-ups in a worker: in gevent's thread pool, so that a slow name server holds up only who asked."""

from gevent import get_hub

from gtunnel.address import Endpoint, HostPort
from gtunnel.net import names
from gtunnel.net.errors import ResolveError

Answer = tuple[names.Address, ...] | ResolveError


def lookup(endpoint: Endpoint) -> tuple[names.Address, ...]:
    """`names.lookup` for a `connect` target, without blocking other greenlets. Raises `ResolveError`."""
    if not (isinstance(endpoint, HostPort) and endpoint.host and endpoint.literal is None):
        return names.lookup(endpoint, default_host=names.LOOPBACK)
    answer: Answer = get_hub().threadpool.apply(_answer, (endpoint,))
    if isinstance(answer, ResolveError):
        raise answer
    return answer


def _answer(endpoint: HostPort) -> Answer:
    # As a value: gevent prints the traceback of whatever a thread of its pool raises.
    try:
        return names.lookup(endpoint, default_host=names.LOOPBACK)
    except ResolveError as error:
        return error
