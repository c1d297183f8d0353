"""What was measured, kept as JSON beside its plot, so that the page can be made of several runs, one of each kind.

`DIRECTORY/benchmarks.md` is the page, `DIRECTORY/benchmarks/` has the rest.
"""

import argparse
import json
from pathlib import Path
from typing import Any

KINDS = ("table", "idle", "soak", "million")


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option that all the suite's commands have for it."""
    parser.add_argument(
        "--page", type=Path, default=None, metavar="DIRECTORY", help="write benchmarks.md, its plots and figures there"
    )


def keep(directory: Path, kind: str, result: dict[str, Any]) -> Path:
    """Write it down. Returns where its plot belongs."""
    place = directory / "benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{kind}.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    return place / f"{kind}.png"


def kept(directory: Path) -> dict[str, dict[str, Any]]:
    """All that is there, by kind."""
    paths = {kind: directory / "benchmarks" / f"{kind}.json" for kind in KINDS}
    return {kind: json.loads(path.read_text()) for kind, path in paths.items() if path.exists()}
