"""Keeping the staples of a worker's services fresh, in the background: no handshake waits for a responder.

Services with the same certificate and responders share a question, and so the answer.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import gevent

from gtunnel.events import Level
from gtunnel.net.responders import Manner, Responders
from gtunnel.tls.ocsp import moments
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.judgement import Judgement
from gtunnel.tls.ocsp.staple import Staple
from gtunnel.tunnel.service import Service
from gtunnel.values import dataclass

# After a failure; and the bounds of when an answer is renewed, which is after half of the time that is left to it.
RETRY_SECONDS: Final = 60.0
MIN_SECONDS: Final = 60.0
MAX_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class _Group:
    """Those who ask the same of the same."""

    request: bytes
    members: list[tuple[Service, Staple]]


class Stapler:
    """Fetches for all services of one worker."""

    def __init__(self, services: Iterable[Service], responders: Responders) -> None:
        self._responders = responders
        self._groups: dict[object, _Group] = {}
        # A service that listens on several addresses comes several times, and so do those behind its names.
        staples = {id(one.tls.served): (one, one.tls.served) for service in services for one in _with_names(service)}
        for service, staple in staples.values():
            if staple is not None and staple.question is not None:
                key = (staple.question.request, service.settings.ocsp)
                group = self._groups.setdefault(key, _Group(staple.question.request, []))
                group.members.append((service, staple))
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        """Fetch now, and again whenever it is time."""
        self._greenlets = [gevent.spawn(self._keep, group) for group in self._groups.values()]

    def stop(self) -> None:
        """Fetch no more. What is served is served until it ends."""
        gevent.killall(self._greenlets, block=False)

    def _keep(self, group: _Group) -> None:
        # OCSP alone may be meant for the clients' certificates, and its responder need not know ours.
        first = Level.WARNING if group.members[0][0].settings.ocsp.aia else Level.INFO
        level = first
        while True:
            try:
                seconds = self._renew(group)
                level = first
            except InconclusiveError as error:
                _tell(group, level, f"{error}: nothing new to staple")
                # Said once, as long as it does not change.
                level, seconds = Level.DEBUG, RETRY_SECONDS
            gevent.sleep(seconds)

    def _renew(self, group: _Group) -> float:
        """Get an answer for all of a group; when to come again. Raises `InconclusiveError`."""
        service, first = group.members[0]
        manner = Manner(service.settings.ocsp.seconds, service.outgoing.mark)
        last = InconclusiveError(reason="no responder")
        for url in first.urls:
            try:
                answer = self._responders.ask(url, group.request, manner)
                found = first.put(answer)
                for _, other in group.members[1:]:
                    other.put(answer)
            except InconclusiveError as error:
                last = error
                continue
            if found.good:
                _tell(group, Level.INFO, f"OCSP: Stapling the answer of {url}")
            else:
                _tell(group, Level.ERR, f"OCSP: {url} says that our own certificate was revoked: nothing is stapled")
            return _pause(found)
        raise last


def _with_names(service: Service) -> Iterator[Service]:
    yield service
    yield from (other for _, other in service.virtual)


def _pause(found: Judgement) -> float:
    ends = found.ends
    left = MAX_SECONDS if ends is None else (ends - moments.now()).total_seconds() / 2
    return min(max(left, MIN_SECONDS), MAX_SECONDS)


def _tell(group: _Group, level: Level, text: str) -> None:
    for service, _ in group.members:
        service.log.write(level, f"Service [{service.name}]: {text}")
