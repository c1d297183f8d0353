"""Tables of what was measured: for the terminal and for docs/."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from tests.bench.runner import Rounds
from tests.bench.targets import MISSED, target_of

ORACLE = "stunnel4"
OURS = "gtunnel"
Cells = Mapping[str, Sequence[float]]


def table(rounds: Rounds, names: Sequence[str]) -> str:
    """Each figure by program (medians), gtunnel's ratio to stunnel4's, and what the issue asks of it."""
    lines = [f"| | {' | '.join(names)} | ratio | target (aim) | |", f"|---{'|---' * (len(names) + 3)}|"]
    for name, cells in rounds.items():
        figures, target = medians(cells), target_of(name)
        shown = [_number(figures[program]) if program in figures else "" for program in names]
        quotient = ratio(cells)
        judged = "" if target is None else target.judge(figures, quotient, OURS)
        judged = f"**{judged}**" if judged == MISSED else judged
        asked = "" if target is None else str(target)
        lines.append(f"| {name} | {' | '.join(shown)} | {_ratio(quotient)} | {asked} | {judged} |")
    return "\n".join(lines)


def medians(cells: Cells) -> dict[str, float]:
    """One figure for all rounds, by program."""
    return {name: statistics.median(values) for name, values in cells.items()}


def ratio(cells: Cells, ours: str = OURS, oracle: str = ORACLE) -> float | None:
    """A program's figure to another's: the median of the rounds' ratios, each of two that ran one after the other.

    None where one is missing.
    """
    if not cells.get(ours) or not cells.get(oracle) or not all(cells[oracle]):
        return None
    return statistics.median(a / b for a, b in zip(cells[ours], cells[oracle], strict=True))


def missed(rounds: Rounds) -> Iterator[str]:
    """The rows whose target is missed."""
    for name, cells in rounds.items():
        target = target_of(name)
        if target is not None and target.judge(medians(cells), ratio(cells), OURS) == MISSED:
            yield name


def _number(value: float) -> str:
    # Three digits tell what there is to tell.
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
