"""What the traffic tests saw, as a table: docs/gateway-matrix.md.

python -m tests.netsetup.matrix     runs them and writes the page (`make matrix`; as root)
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.netsetup.world import CLIENT, EGRESS, INGRESS, ROOT, SERVER

_VARIABLE = "GTUNNEL_MATRIX"
_PAGE = ROOT / "docs/gateway-matrix.md"
_COLUMNS = {
    "mode": "mode",
    "method": "method",
    "ip": "IP",
    "traffic": "traffic",
    "server": "server is",
    "listener": "gtunnel listens on",
    "asked": "client asked for",
    "origin": "gtunnel saw client -> destination",
    "seen": "server saw client -> itself",
}
_HEAD = f"""\
# Every transparent mode, and what each side saw

Made by `make matrix` (as root, some minutes), which runs the traffic tests of tests/netsetup/test_traffic.py: real
connections between three network namespaces, 1 MiB each way, with the kernel set up by netsetup. Change those instead.

    client {CLIENT[4]}  -  {INGRESS[4]} gateway {EGRESS[4]}  -  {SERVER[4]} server
    client {CLIENT[6]}  -  {INGRESS[6]} gateway {EGRESS[6]}  -  {SERVER[6]} server

The proxy in these tests is a stand-in of a few lines, so that they show the kernel's part alone; gtunnel itself is
tested in the same modes in tests/integration/test_transparent.py. Ports that the kernel chose are left out.
On the gateway others' rules are in force as well (legacy iptables, iptables-nft, nftables, ip rules); after each row
the kernel is compared with what it was before.

"""


def record(row: dict[str, str], backend: str) -> None:
    """Note a row, if somebody collects them."""
    path = os.environ.get(_VARIABLE)
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps([row, backend]) + "\n")


def shown(address: list[Any], port: int | None = None) -> str:
    """Host, and the port where it is one that somebody chose."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}" if address[1] == port else address[0]


def page(rows: Iterable[tuple[dict[str, str], str]]) -> str:
    """The page. Rows that were seen with several backends are one."""
    seen: dict[tuple[str, ...], list[str]] = {}
    for row, backend in rows:
        seen.setdefault(tuple(row[name] for name in _COLUMNS), []).append(backend)
    lines = [f"| {' | '.join((*_COLUMNS.values(), 'seen with'))} |", f"|{'---|' * (len(_COLUMNS) + 1)}"]
    lines += [f"| {' | '.join((*row, ', '.join(sorted(set(backends)))))} |" for row, backends in seen.items()]
    return f"{_HEAD}{len(seen)} rows.\n\n" + "\n".join(lines) + "\n"


def main() -> int:
    """Run the tests, write the page."""
    with tempfile.TemporaryDirectory() as directory:
        collected = Path(directory) / "rows"
        collected.touch()
        argv = [sys.executable, "-m", "pytest", "-q", "tests/netsetup/test_traffic.py"]
        status = subprocess.run(argv, cwd=ROOT, env={**os.environ, _VARIABLE: str(collected)}, check=False).returncode
        if status == 0:
            _PAGE.write_text(page((row, backend) for row, backend in map(json.loads, collected.open())))
    return status


if __name__ == "__main__":
    sys.exit(main())
