"""Look-ups in a worker: in gevent's thread pool, so that a slow name server holds up only who asked."""

from gevent import get_hub

from gtunnel.address import Endpoint
from gtunnel.net import names


def lookup(endpoint: Endpoint) -> tuple[names.Address, ...]:
    """`names.lookup` for a `connect` target, without blocking other greenlets. Raises `ResolveError`."""
    if not _needs_resolver(endpoint):
        return names.lookup(endpoint, default_host=names.LOOPBACK)
    found: tuple[names.Address, ...] = get_hub().threadpool.apply(
        names.lookup, (endpoint,), {"default_host": names.LOOPBACK}
    )
    return found


def _needs_resolver(endpoint: Endpoint) -> bool:
    host = getattr(endpoint, "host", "")
    return bool(host) and getattr(endpoint, "literal", None) is None
