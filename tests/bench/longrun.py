"""The outcome of a long run: what is told, plotted and kept of it, and whether it is good."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import about, plots, results
from tests.bench.__main__ import end_on_sigterm
from tests.bench.page import page
from tests.bench.sampling import Samples, complaints, described, series_of, trends

# More than this of a log nobody reads here.
_LOG_LINES = 20
_FEWEST_SAMPLES = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`facts` are lines for people; `failures` say what went wrong; `log` is what gtunnel wrote."""

    samples: Samples
    facts: Sequence[str]
    failures: Sequence[str]
    log: str

    def report(self, kind: str, command: str, directory: Path | None) -> int:
        """Print it, and publish it in a directory if one is given. Returns the exit status."""
        print("\n".join(self.facts))
        wrong = list(self.failures)
        if len(self.samples) < _FEWEST_SAMPLES:
            wrong.append(f"{len(self.samples)} samples are too few to say whether anything grew")
        else:
            found = trends(self.samples)
            print(described(found))
            wrong += complaints(found)
            if directory is not None:
                self._publish(kind, command, directory)
        bugs = [line for line in self.log.splitlines() if "INTERNAL ERROR" in line]
        wrong += bugs[:_LOG_LINES]
        for line in wrong:
            print(f"wrong: {line}", file=sys.stderr)
        if wrong:
            print("gtunnel's last lines:", *self.log.splitlines()[-_LOG_LINES:], sep="\n", file=sys.stderr)
        return 1 if wrong else 0

    def _publish(self, kind: str, command: str, directory: Path) -> None:
        result = {
            "command": command,
            "facts": [*self.facts, *(f"failed: {line}" for line in self.failures)],
            "trends": described(trends(self.samples)),
            "versions": about.versions(["gtunnel"]),
            "machine": about.machine(),
            "date": about.today(),
        }
        image = results.keep(directory, kind, result)
        minutes = {name: [(when / 60, value) for when, value in series_of(self.samples, name)] for name in _PANELS}
        plots.curves(image, {title: {"gtunnel": minutes[title]} for title in _PANELS}, "minutes")
        print(f"See {page(directory)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much of a long run is wanted: its option, by default `usual`, and its bounds."""

    option: str
    usual: float
    least: float
    most: float


def carry_out(kind: str, about_it: str | None, amount: Amount, run: Callable[[float], Outcome]) -> None:
    """A long run's command line: run it, print, publish. Ends with status 1 if something grew or failed."""
    end_on_sigterm()
    command = f"python -m tests.bench.{kind}"
    parser = argparse.ArgumentParser(prog=command, description=about_it)
    parser.add_argument(f"--{amount.option}", dest="amount", metavar="NUMBER", type=float, default=amount.usual)
    results.add_option(parser)
    arguments = parser.parse_args()
    if not amount.least <= arguments.amount <= amount.most:
        parser.error(f"--{amount.option}: from {amount.least:.15g} to {amount.most:.15g}")
    outcome = run(arguments.amount)
    sys.exit(outcome.report(kind, f"{command} --{amount.option} {arguments.amount:.15g}", arguments.page))


_PANELS = ("PSS, MiB", "largest RSS of one process, MiB", "descriptors", "threads")
