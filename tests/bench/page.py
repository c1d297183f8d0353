"""docs/benchmarks.md, made of what was measured and kept (`results`): `python -m tests.bench.page [DIRECTORY]`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench import results
from tests.bench.report import ORACLE, missed, table

_HEAD = """\
# Benchmarks

Made by `make bench`, `make soak` and `make million`, which rewrite this page: change `tests/bench/` instead. What the
figures mean for gtunnel is in [performance.md](performance.md).
"""


def page(directory: Path) -> Path:
    """Write the page anew from all that is kept there."""
    found, path = results.kept(directory), directory / "benchmarks.md"
    parts = [_HEAD, *(_PARTS[kind](result) for kind, result in found.items())]
    path.write_text("\n".join(part.rstrip("\n") + "\n" for part in parts))
    return path


def conditions(result: dict[str, Any]) -> str:
    """When, on what, and with which programs."""
    programs = "".join(f"- {name} {version}\n" for name, version in result["versions"].items())
    return f"{result['date']}; {result['machine']}.\n\n{programs}"


def _table(result: dict[str, Any]) -> str:
    rounds: dict[str, dict[str, list[float]]] = result["rounds"]
    names: Sequence[str] = result["programs"]
    failed = list(missed(rounds))
    told = f"Missed: {'; '.join(failed)}." if failed else "All targets are met."
    return f"""\
## Beside others

{conditions(result)}
{result["command"]}: the medians of {result["count"]} round(s), in each of which every program had its turn. Every
program has Debian's defaults but for what the work needs (`tests/bench/proxies.py`), the same certificate, and the same
load and backends on loopback. All negotiate TLS_AES_256_GCM_SHA384 (in TLS 1.2: ECDHE-ECDSA-AES256-GCM-SHA384) and
X25519. Processor time is that of the program's own processes, by their clocks. With one worker, which is said nowhere
else, a program runs on the first processor only; "all cores" are as many workers as processors, which the load has to
share: its own processor time bounds the rates, too, so connections per second are those of wrk, web server and
proxy together. The ratio is gtunnel's figure to {ORACLE}'s: the median of the rounds' ratios. hitch has no client mode.

{table(rounds, names)}

{told}

![ratios](benchmarks/table.png)
"""


def _idle(result: dict[str, Any]) -> str:
    rows = [
        "| " + " | ".join([name, *(f"{step[key]:.{digits}f}" for key, digits in _STEP)]) + " |"
        for name, steps in result["steps"].items()
        for step in steps
    ]
    limits = "".join(f"- {line}\n" for line in result["limits"])
    return f"""\
## Idle connections in one worker

{conditions(result)}
`{result["command"]}`: TLS connections that have said one byte and now wait, held by several processes. At each
step {result["probes"]} new connections are made one after the other, each for a byte there and back, and one that
stands sends as many. At the end all answer once more. The worker is on the first processor.

| | connections | new one p50, ms | p99, ms | echo p50, us | p99, us | KiB each | CPU at rest, % |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

{limits}
![idle connections](benchmarks/idle.png)
"""


_STEP = (
    ("connections", 0),
    ("new_p50", 1),
    ("new_p99", 1),
    ("echo_p50", 0),
    ("echo_p99", 0),
    ("kib", 1),
    ("cpu_percent", 2),
)


def _long(title: str, image: str) -> Callable[[dict[str, Any]], str]:
    def part(result: dict[str, Any]) -> str:
        facts = "".join(f"- {line}\n" for line in result["facts"])
        return f"""\
## {title}

{conditions(result)}
`{result["command"]}`:

{facts}
{result["trends"]}

![{title.lower()}](benchmarks/{image}.png)
"""

    return part


_PARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "table": _table,
    "idle": _idle,
    "soak": _long("Everything at once, for long", "soak"),
    "million": _long("Many connections through one worker", "million"),
}

if __name__ == "__main__":
    print(page(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")))
