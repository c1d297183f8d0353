"""Tables of what was measured."""

from collections.abc import Sequence

from tests.bench.runner import Medians

ORACLE = "stunnel4"
OURS = "gtunnel"


def table(figures: Medians, names: Sequence[str]) -> str:
    """Each figure by program, and gtunnel's ratio to stunnel4's."""
    lines = [f"| | {' | '.join(names)} | {OURS} / {ORACLE} |", f"|---{'|---' * (len(names) + 1)}|"]
    for figure, row in figures.items():
        cells = [f"{row[name]:.3g}" if name in row else "" for name in names]
        lines.append(f"| {figure} | {' | '.join(cells)} | {_shown(ratio(row))} |")
    return "\n".join(lines)


def ratio(row: dict[str, float]) -> float | None:
    """gtunnel's figure to stunnel4's; None where one is missing."""
    if OURS not in row or not row.get(ORACLE):
        return None
    return row[OURS] / row[ORACLE]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
