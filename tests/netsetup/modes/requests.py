"""Requests that the tests of modes start from."""

from dataclasses import replace
from typing import Any

from netsetup.model import Capture, Interception, Listener, Request

LOOPBACK = (Listener(host="127.0.0.1", port=9443), Listener(host="::1", port=9443))
ANYWHERE = (Listener(host="0.0.0.0", port=9443), Listener(host="::", port=9443))
HTTP = Capture(ports=((80, 80),))


def service(**given: Any) -> Interception:
    """A destination service on loopback that captures port 80; `capture_…` changes its capture."""
    capture = {name.removeprefix("capture_"): given.pop(name) for name in list(given) if name.startswith("capture_")}
    base = Interception(name="web", listeners=LOOPBACK, source=False, capture=HTTP)
    changed = replace(base, **given)
    return replace(changed, capture=replace(changed.capture, **capture)) if capture and changed.capture else changed


def request(*services: Interception, **given: Any) -> Request:
    """A request for these services."""
    return replace(Request(interceptions=services or (service(),)), **given)
