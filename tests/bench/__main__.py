"""gtunnel beside stunnel4, HAProxy, hitch and nginx: `make bench`, and in some minutes `make bench-quick`.

Every round runs each kind of work with each program in turn; the medians are printed, and their ratio to stunnel4's.
The machine should have nothing else to do: the ratios bear with it better than the figures.
"""

import argparse
import json
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import about, plots, results
from tests.bench.page import page
from tests.bench.proxies import FLOOR, Proxy, available
from tests.bench.report import ORACLE, medians, ratio, table
from tests.bench.runner import MeasureError, Rounds, measure
from tests.bench.targets import target_of
from tests.bench.works import works

# Not in the plot: rates, where longer is better, and what has a figure of its own to keep.
_UNPLOTTED = re.compile(r"/s, |^at rest|^start|p99")


def main() -> None:
    """Measure and print."""
    end_on_sigterm()
    arguments, parser = _arguments()
    wanted = works(quick=arguments.quick, only=arguments.only)
    if not wanted:
        parser.error(f"no row has {arguments.only!r}: see --list")
    if arguments.list:
        print("\n".join(row for work in wanted for row in work.rows))
        return
    try:
        programs = chosen(arguments.programs, available())
    except ValueError as error:
        parser.error(str(error))
    count = arguments.rounds or (1 if arguments.quick else 3)
    rounds = measure(wanted, programs, count)
    print(table(rounds, [program.name for program in programs]))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rounds, indent=1))
    if arguments.page is not None:
        command = "`make bench-quick`" if arguments.quick else "`make bench`"
        print(f"See {publish(arguments.page, rounds, [program.name for program in programs], count, command)}.")


def _arguments() -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=None, help="how often (default: 3; 1 with --quick)")
    parser.add_argument("--only", type=_pattern, default="", metavar="PATTERN", help="rows in which it is found")
    parser.add_argument("--with", dest="programs", default="", metavar="NAME,...", help="these programs only")
    parser.add_argument("--list", action="store_true", help="the rows, measuring nothing")
    parser.add_argument("--json", type=Path, default=None, help="write the figures of all rounds there as well")
    results.add_option(parser)
    return parser.parse_args(), parser


def publish(directory: Path, rounds: Rounds, names: list[str], count: int, command: str) -> Path:
    """Keep the figures, plot the ratios, write the page. Returns the page."""
    known = {**about.versions([*names, "openssl"])}
    result = {"rounds": rounds, "programs": names, "count": count, "command": command, "versions": known}
    image = results.keep(directory, "table", {**result, "machine": about.machine(), "date": about.today()})
    plotted: dict[str, dict[str, float]] = {}
    for row, cells in rounds.items():
        if not _UNPLOTTED.search(row):
            ratios = {name: ratio(cells, name) for name in medians(cells)}
            plotted[row] = {name: value for name, value in ratios.items() if value is not None}
    targets = {row: target for row in plotted if (target := target_of(row)) is not None}
    plots.bars(image, plotted, {row: target.bound for row, target in targets.items()}, ORACLE)
    return page(directory)


def chosen(names: str, programs: Sequence[Proxy]) -> tuple[Proxy, ...]:
    """Those of the programs that are named, in that order; all but the floor if none is. ValueError: not there."""
    by_name = {program.name: program for program in programs}
    wanted = [name for name in names.split(",") if name] or [name for name in by_name if name != FLOOR]
    for name in wanted:
        if name not in by_name:
            raise ValueError(f"{name} is not installed, or not known: {', '.join(by_name)}")
    return tuple(by_name[name] for name in wanted)


def end_on_sigterm() -> None:
    """End in order when asked to, so that all that was started is ended as well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except MeasureError as failed:
        sys.exit(str(failed))
