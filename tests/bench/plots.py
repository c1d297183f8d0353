"""The plots of docs/: few, small, black on white. Without matplotlib (the extra `bench`) there are none."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Curve = Sequence[tuple[float, float]]

# Distinct also in print and for most eyes (Okabe and Ito's palette); the program that this is about is the darkest.
COLOURS = {"gtunnel": "#0072B2", "stunnel4": "#D55E00", "haproxy": "#999999", "hitch": "#CC79A7", "nginx": "#009E73"}
_DPI = 80
_COLOURS_PER_FILE = 64  # a third of the size, and the eye sees no difference


def bars(path: Path, ratios: Mapping[str, Mapping[str, float]], bounds: Mapping[str, float], oracle: str) -> None:
    """For each row a group of bars: each program's ratio to the oracle, which is the line at 1.

    `bounds`: what gtunnel's must not exceed, for the rows that have such a target.
    """
    pyplot = _pyplot(path)
    if pyplot is None:
        return
    names = [name for name in COLOURS if name != oracle and any(name in row for row in ratios.values())]
    thick = 0.8 / max(len(names), 1)
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(ratios) + 1))
    for number, name in enumerate(names):
        places = [index + (number - (len(names) - 1) / 2) * thick for index in range(len(ratios))]
        axes.barh(places, [row.get(name, 0) for row in ratios.values()], thick, label=name, color=COLOURS[name])
    places = [index for index, row in enumerate(ratios) if row in bounds]
    axes.plot(list(bounds.values()), places, "k|", markersize=16, label="target")
    axes.axvline(1, color=COLOURS[oracle], label=oracle)
    axes.set_yticks(range(len(ratios)), list(ratios), fontsize=8)
    axes.set_ylim(len(ratios) - 0.5, -0.5)
    axes.set_xlabel(f"ratio to {oracle}; shorter is better")
    axes.legend(fontsize=8)
    _save(figure, path)


def curves(path: Path, panels: Mapping[str, Mapping[str, Curve]], across: str, steep: Sequence[str] = ()) -> None:
    """One panel above the other, each with its title and its curves by name. A name begins with its program's.

    `steep`: the panels with a logarithmic scale. The others begin at nothing.
    """
    pyplot = _pyplot(path)
    if pyplot is None:
        return
    figure, several = pyplot.subplots(len(panels), figsize=(7, 2.2 * len(panels) + 0.5), sharex=True, squeeze=False)
    for axes, (title, lines) in zip(several[:, 0], panels.items(), strict=True):
        for name, curve in lines.items():
            colour = COLOURS.get(name.partition(" ")[0])
            style = "--" if name.endswith("p99") else "-"
            marker = "." if len(curve) < 30 else None
            axes.plot(*zip(*curve, strict=True), style, marker=marker, label=name, color=colour)
        axes.set_title(title, fontsize=9)
        if title in steep:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.15 * max(value for curve in lines.values() for _, value in curve) or 1)
        axes.grid(alpha=0.3)
        if len(lines) > 1:
            axes.legend(fontsize=8)
    several[-1, 0].set_xlabel(across)
    _save(figure, path)


def _pyplot(path: Path) -> Any:
    try:
        import matplotlib as mpl
    except ImportError:
        sys.stderr.write(f"{path.name} is left out: matplotlib is not installed (pip install -e '.[bench]')\n")
        return None
    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    # Without the program's version: the same figures make the same file.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    figure.clear()
    from PIL import Image  # matplotlib needs it as well

    with Image.open(path) as image:
        image.convert("RGB").quantize(_COLOURS_PER_FILE).save(path, optimize=True)
