"""The iptables backend: legacy iptables through python-iptables, in a child process per IP version."""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from netsetup.backends import iptables_rules, legacy, nft
from netsetup.backends.contract import Content, Image
from netsetup.backends.iptables_rules import unit_name, unit_parts
from netsetup.errors import BackendError, FirewallError
from netsetup.state import Chain, Family

_OURS = ("mangle", "nat")


class IptablesBackend:
    """Children start when they are needed, in the namespace of this process, and end with the context.

    Reading needs neither a child nor python-iptables where nothing of ours can be: no table is loaded, or
    iptables-save does not speak of us.
    """

    name = "iptables"

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._children: dict[Family, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.close()
        self._children.clear()

    def render(self, chains: tuple[Chain, ...]) -> Image:
        """Pure; see `iptables_rules`."""
        return iptables_rules.render(chains, self._instance)

    def read(self) -> Image:
        """Our chains in the tables that are loaded."""
        image: dict[str, Content] = {}
        families = [family for family in Family if self._may_hold_something(family)]
        for family in families:
            self._child(family)  # so that they start at the same time
        for family in families:
            for table, data in self._child(family).ask({"do": "read"})["tables"].items():
                unit = unit_name(family, table)
                image[unit] = iptables_rules.content(unit, data)
        return image

    def write(self, unit: str, content: Content | None) -> None:
        """One commit of one table."""
        family, table = unit_parts(unit)
        data = None if content is None else json.loads(content.data)
        found = self._child(family).ask({"do": "write", "table": table, "data": data})["table"]
        if (found or {"chains": {}, "hooks": {}}) != (data or {"chains": {}, "hooks": {}}):
            raise FirewallError(unit=unit, reason="the kernel holds other rules than were written")

    def warnings(self) -> tuple[str, ...]:
        """Rules that were made by iptables-nft are invisible here, yet every packet meets both."""
        tables = nft.tables_in_use()
        if not tables:
            return ()
        return (
            "nftables rules exist as well and see the same packets as ours (the iptables backend writes legacy rules), "
            f"in {', '.join(tables)}: if traffic is not captured or does not get through, see `nft list ruleset` for "
            "what drops, redirects or marks it",
        )

    def script(self, unit: str, before: Content | None, after: Content | None) -> tuple[str, ...]:
        """One iptables-legacy-restore command."""
        family, _ = unit_parts(unit)
        program = f"{legacy.PROGRAMS[family]}-restore"
        return (f"{program} --noflush <<'END'", *iptables_rules.restore(unit, before, after), "END")

    def _may_hold_something(self, family: Family) -> bool:
        """Asked of iptables-save, which answers fifty times as quickly as python-iptables is loaded."""
        for table in _OURS:
            if table in legacy.loaded(family):
                text = legacy.saved(family, table)
                if text is None or f"{self._instance}." in text:
                    return True
        return False

    def _child(self, family: Family) -> "_Child":
        if family not in self._children:
            self._children[family] = _Child(family, self._instance)
        return self._children[family]


class _Child:
    """A running `iptables_child`."""

    def __init__(self, family: Family, instance: str) -> None:
        self._name = legacy.PROGRAMS[family]
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "netsetup.backends.iptables_child", str(family.value), instance],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=Path(__file__).parents[2],  # so that -m finds netsetup, installed or not
            text=True,
            close_fds=False,  # the lock, see `ledger.lock`
        )
        self._greeted = False

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request, one answer. FirewallError for what the child reports and for its end; BackendError."""
        self._greet()
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        reply = self._receive()
        if "error" in reply:
            raise FirewallError(unit=self._name, reason=reply["error"])
        return reply

    def _greet(self) -> None:
        """The child's first line, half a second after its start, says whether it can work."""
        if self._greeted:
            return
        first = self._receive()
        self._greeted = True
        if "missing" in first:
            instead = "install it with: pip install 'gtunnel[iptables]'"
            raise BackendError(backend="iptables", reason=first["missing"], instead=instead)

    def close(self) -> None:
        """End the child; it holds nothing that has to be finished."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if line:
            reply: dict[str, Any] = json.loads(line)
            return reply
        # libxtables leaves the process by itself on some errors, after saying why.
        status = self._process.wait()
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "it said nothing"
        raise FirewallError(unit=self._name, reason=f"the child process ended (status {status}): {reason}")
