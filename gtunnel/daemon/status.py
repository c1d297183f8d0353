"""How it goes: what `gtunnel status` is told. Values are fit for JSON, and described in docs/diagnostics.md.

Whoever may only ask gets a report that is a second old at most: workers are not asked more often than that, however
often and by how many the supervisor is.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime
from time import monotonic
from typing import Any, Final

from gtunnel.daemon.channel import Word
from gtunnel.daemon.crew import Member
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.survey import survey
from gtunnel.tunnel.particulars import shown
from gtunnel.values import dataclass
from gtunnel.version import VERSION

FRESH_SECONDS: Final = 1.0
# Clients with the most connections, of all workers together.
MAX_CLIENTS: Final = 100
MAX_LISTED: Final = 1000
# Lines of a reload that are told: what is wrong stands in the first ones.
MAX_LINES: Final = 10

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Renewal:
    """One generation that was to take over from another. `cause`: "reload", or "files" (reloadCerts)."""

    cause: str
    done: bool
    lines: tuple[str, ...] = ()
    time: float = field(default_factory=time.time)


@dataclass(slots=True)
class Reporter:
    """Makes reports. `last` is the last renewal, kept by the supervisor."""

    last: Renewal | None = None
    _started: float = field(default_factory=time.time)
    _since: float = field(default_factory=monotonic)
    _kept: dict[bool, tuple[float, Report]] = field(default_factory=dict)

    def report(self, generation: Generation, members: Sequence[Member], *, detailed: bool) -> Report:
        """As it is now. Takes a second at most, if a worker does not answer."""
        asked = Word.DETAIL if detailed else Word.COUNT
        answers = survey([member.end for member in members], asked)
        found = [(member, answers.get(member.end.fileno())) for member in members]
        told = [answer for _, answer in found if answer is not None]
        services = sum((Counter(answer["services"]) for answer in told), Counter[str]())
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "started": _moment(self._started),
            "uptime": round(monotonic() - self._since, 3),
            "configuration": generation.configuration.file,
            "generation": generation.number,
            "last_reload": None if self.last is None else _renewal(self.last),
            "services": [_service(generation, index, services) for index in range(len(generation.services))],
            "workers": [_worker(member, answer) for member, answer in found],
            "connections": _connections(told, services),
            **({"list": _list(told)} if detailed else {}),
        }

    def recent(self, make: Callable[[], Report], *, detailed: bool) -> Report:
        """A report that is not older than `FRESH_SECONDS`, made if there is none."""
        made, report = self._kept.get(detailed, (0.0, {}))
        if not report or monotonic() - made > FRESH_SECONDS:
            report = make()
            self._kept[detailed] = monotonic(), report
        return report


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _renewal(renewal: Renewal) -> Report:
    return {
        "time": _moment(renewal.time),
        "cause": renewal.cause,
        "done": renewal.done,
        "lines": list(renewal.lines[:MAX_LINES]),
    }


def _service(generation: Generation, index: int, connections: Counter[str]) -> Report:
    service = generation.services[index]
    settings = service.settings
    return {
        "name": service.name,
        "client": settings.client,
        "transparent": settings.transparency.value,
        "accept": [shown(one.listening.address) for one in generation.bindings if one.service is service],
        "names_of": sorted({name.primary for name in settings.virtual_names}),
        "connections": connections[service.name],
    }


def _worker(member: Member, answer: Report | None) -> Report:
    return {
        "pid": member.pid,
        "state": "draining" if member.draining else "serving",
        "generation": member.generation.number,
        "answers": answer is not None,
        "uptime": round(monotonic() - member.started, 3),
        "connections": None if answer is None else answer["connections"],
        "accepted": None if answer is None else answer["accepted"],
    }


def _connections(told: Sequence[Report], services: Counter[str]) -> Report:
    clients: Counter[str] = Counter()
    for answer in told:
        for client, count in answer["by_client"]:
            clients[client] += count
    # Where a worker has told of some of its clients only, others may have one connection more than is known of them.
    complete = all(answer["clients"] == len(answer["by_client"]) for answer in told)
    return {
        "total": sum(answer["connections"] for answer in told),
        "by_service": dict(services.most_common()),
        "by_client": [{"client": client, "connections": count} for client, count in clients.most_common(MAX_CLIENTS)],
        "clients": len(clients) if complete else None,
    }


def _list(told: Sequence[Report]) -> Report:
    everybody = [line for answer in told for line in answer["list"]]
    everybody.sort(key=lambda line: float(line["age"]), reverse=True)
    shown_lines = everybody[:MAX_LISTED]
    return {"shown": len(shown_lines), "of": sum(answer["connections"] for answer in told), "connections": shown_lines}
