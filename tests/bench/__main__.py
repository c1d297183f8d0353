"""gtunnel beside stunnel4, HAProxy, hitch and nginx: `make bench`, and in some minutes `make bench-quick`.

    python -m tests.bench [--quick] [--rounds N] [--json FILE]

Every round runs each kind of work with each program in turn; the medians are printed, and their ratio to stunnel4's.
The machine should have nothing else to do: the ratios bear with it better than the figures.
"""

import argparse
import json
import ssl
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import backends, loads
from tests.bench.backends import Ports
from tests.bench.loads import Figures, Running
from tests.bench.proxies import Proxy, Setup, available
from tests.support.certificates import Pki
from tests.support.ports import free_port

ORACLE = "stunnel4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One measurement: at which backend, in which mode, with how many workers, and how."""

    name: str
    backend: str
    client: bool
    workers: int
    key: str
    measure: Callable[[Running], Figures]


def works(quick: bool) -> Iterator[Work]:
    """All of them; `quick` makes each shorter."""
    scale = 1 if quick else 4

    def work(name: str, backend: str, measure: Callable[[Running], Figures], **more: object) -> Work:
        given = {"client": False, "workers": 1, "key": "ec", **more}
        return Work(name=name, backend=backend, measure=measure, **given)  # type: ignore[arg-type]

    size = 250_000_000 * scale
    for client in (False, True):
        mode = "client mode" if client else "server mode"
        yield work(mode, "source", partial(loads.download, size=size), client=client)
        yield work(mode, "sink", partial(loads.upload, size=size), client=client)
        for together in (32, 256):
            asked = partial(loads.requests, together=together, seconds=2 * scale)
            yield work(mode, "web", asked, client=client)
        yield work(mode, "echo", partial(loads.echoes, count=1500 * scale), client=client)
    count = 300 * scale
    yield work("client mode", "echo", partial(loads.connections, count=count), client=True)
    for key in ("ec", "rsa"):
        yield work(f"full TLS 1.3, {key}", "echo", partial(loads.connections, count=count), key=key)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        yield work("server mode", "echo", partial(loads.resumed, count=count, version=version))
    yield work("server mode", "echo", partial(loads.idle, count=500 * scale))
    yield work("all cores", "web", partial(loads.requests, together=256, seconds=2 * scale), workers=2)
    yield work("at rest, 2 workers", "echo", loads.resting, workers=2)


class Bench:
    """The backends, which run as long as the context, and the certificates."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        pki = Pki(directory)
        self._pems = {"ec": pki.server.pem, "rsa": pki.server_rsa.pem}
        pem = self._pems["ec"]
        self._backends: dict[str, Ports] = {"web": stack.enter_context(backends.web(pem, directory))}
        for name, serve in (("echo", backends.echo), ("source", backends.source), ("sink", backends.sink)):
            self._backends[name] = stack.enter_context(backends.serving(serve, pem))

    def run(self, work: Work, proxy: Proxy) -> Figures | None:
        """What one program needs for it; None if it cannot do it."""
        ports = self._backends[work.backend]
        setup = Setup(
            client=work.client,
            workers=work.workers,
            listen=free_port(),
            backend=ports.tls if work.client else ports.plain,
            pem=self._pems[work.key],
            directory=self._directory,
        )
        if proxy.configure(setup) is None:
            return None
        with proxy.running(setup, pinned=work.workers == 1) as pid:
            return work.measure(Running(pid=pid, port=setup.listen, tls=not work.client, status=ports.plain))


def measure(rounds: int, *, quick: bool) -> dict[str, dict[str, float]]:
    """The median of each figure, by its name and by program."""
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        bench = Bench(Path(name), stack)
        for _ in range(rounds):
            for work in works(quick):
                for proxy in available():
                    for figure, value in (bench.run(work, proxy) or {}).items():
                        row = found.setdefault(f"{work.name}: {figure}", {})
                        row.setdefault(proxy.name, []).append(value)
    return {
        figure: {proxy: statistics.median(values) for proxy, values in row.items()} for figure, row in found.items()
    }


def table(figures: dict[str, dict[str, float]]) -> str:
    """For docs/: each figure by program, and gtunnel's ratio to stunnel4's."""
    names = [proxy.name for proxy in available()]
    lines = [f"| | {' | '.join(names)} | gtunnel / {ORACLE} |", f"|---{'|---' * (len(names) + 1)}|"]
    for figure, row in figures.items():
        cells = [f"{row[name]:.3g}" if name in row else "" for name in names]
        ratio = f"{row['gtunnel'] / row[ORACLE]:.2f}" if ORACLE in row else ""
        lines.append(f"| {figure} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=None, help="how often (default: 3; 1 with --quick)")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there as well")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds or (1 if arguments.quick else 3), quick=arguments.quick)
    print(table(figures))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
