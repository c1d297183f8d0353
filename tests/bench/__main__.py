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

from tests.bench.proxies import Proxy, available
from tests.bench.report import table
from tests.bench.runner import measure, medians
from tests.bench.works import works


def main() -> None:
    """Measure and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=None, help="how often (default: 3; 1 with --quick)")
    parser.add_argument("--only", type=_pattern, default="", metavar="PATTERN", help="rows in which it is found")
    parser.add_argument("--with", dest="programs", default="", metavar="NAME,...", help="these programs only")
    parser.add_argument("--list", action="store_true", help="the rows, measuring nothing")
    parser.add_argument("--json", type=Path, default=None, help="write the figures of all rounds there as well")
    arguments = parser.parse_args()
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
    rounds = measure(wanted, programs, arguments.rounds or (1 if arguments.quick else 3))
    print(table(medians(rounds), [program.name for program in programs]))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rounds, indent=1))


def chosen(names: str, programs: Sequence[Proxy]) -> tuple[Proxy, ...]:
    """Those of the programs that are named, in that order; all if none is. ValueError: not there."""
    by_name = {program.name: program for program in programs}
    wanted = [name for name in names.split(",") if name] or list(by_name)
    for name in wanted:
        if name not in by_name:
            raise ValueError(f"{name} is not installed, or not known: {', '.join(by_name)}")
    return tuple(by_name[name] for name in wanted)


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
