"""The process that uses python-iptables: one IP version, one network namespace, JSON lines in and out.

    python -m netsetup.backends.iptables_child 4|6 INSTANCE
    {"do": "read"}                                  -> {"tables": {"mangle": {"chains": …, "hooks": …}, …}}
    {"do": "write", "table": T, "data": {…}|null}   -> {"table": {…}} as read back
    anything that fails                             -> {"error": "a sentence"}

Why a process: libxtables keeps one IP version's state for good, leaves by exit() or longjmp on errors, and knows only
the namespace in which it first opened a table. Why `autocommit = False`: with it on, errors of the kernel are lost.

What stays for good: opening a table registers it with the kernel, for as long as the namespace lives. One that we were
the first to write to is left with its empty built-in chains (policy ACCEPT) when our rules go; neither iptables-legacy
nor we can unregister it. So nothing is opened for reading, or to remove something, that is not registered already.
"""

import contextlib
import copy
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netsetup.kernel.locking import lock_within

TABLES = ("mangle", "nat")
_BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_LOCK_SECONDS = 10.0


class ChildError(Exception):
    """Something to report in one sentence."""


class Tables:
    """Our chains in the tables of one IP version. `instance` is what their names start with."""

    def __init__(self, family: int, instance: str) -> None:
        try:
            import iptc
            from iptc import easy
        except ImportError as error:
            raise ChildError(f"python-iptables cannot be loaded: {error}") from error
        self._iptc: Any = iptc
        self._easy: Any = easy
        self._six = family == 6
        self._class: Any = iptc.Table6 if self._six else iptc.Table
        self._prefix = f"{instance}."
        names = "ip6_tables_names" if self._six else "ip_tables_names"
        self._loaded_names = Path("/proc/self/net") / names

    def read(self) -> dict[str, Any]:
        """All tables that the kernel has loaded and that hold something of ours. Opening another would load it."""
        with _xtables_lock():
            found = {name: self._data(self._open(name)) for name in TABLES if name in self._loaded()}
        return {name: data for name, data in found.items() if data["chains"] or data["hooks"]}

    def write(self, name: str, data: dict[str, Any] | None) -> dict[str, Any] | None:
        """Replace our chains of a table in one commit."""
        if data is None and name not in self._loaded():
            return None
        with _xtables_lock():
            table = self._open(name)
            try:
                self._remove(table)
                if data is not None:
                    self._create(table, data)
                table.commit()
            except self._iptc.IPTCError as error:
                raise ChildError(f"the kernel refused the {name} table: {error}") from error
            table.refresh()
            return self._data(table)

    def _loaded(self) -> list[str]:
        return self._loaded_names.read_text().split() if self._loaded_names.exists() else []

    def _open(self, name: str) -> Any:
        # To tell a target from a chain, python-iptables opens all that is in ALL, and so would register it.
        self._class.ALL = [name]
        try:
            table = self._class(name)
            table.autocommit = False
            table.refresh()
        except self._iptc.IPTCError as error:
            raise ChildError(f"the {name} table cannot be opened: {error}") from error
        return table

    def _data(self, table: Any) -> dict[str, Any]:
        chains: dict[str, Any] = {}
        hooks: dict[str, Any] = {}
        for chain in table.chains:
            if chain.name.startswith(self._prefix):
                chains[chain.name] = [self._decode(rule) for rule in chain.rules]
            elif chain.name in _BUILT_IN:
                ours = [self._decode(rule) for rule in chain.rules if self._is_hook(rule)]
                if ours:
                    hooks[chain.name] = ours
        return {"chains": chains, "hooks": hooks}

    def _is_hook(self, rule: Any) -> bool:
        """Whether a rule leads to a chain of ours. Asked before decoding: others' rules need not be decodable."""
        return rule.target is not None and str(rule.target.name or "").startswith(self._prefix)

    def _remove(self, table: Any) -> None:
        ours = [chain for chain in table.chains if chain.name.startswith(self._prefix)]
        for chain in table.chains:
            if chain.name in _BUILT_IN:
                for rule in [rule for rule in chain.rules if self._is_hook(rule)]:
                    chain.delete_rule(rule)
        for chain in ours:
            chain.flush()
        for chain in ours:
            try:
                table.delete_chain(chain.name)
            except self._iptc.IPTCError as error:
                raise ChildError(
                    f"chain {chain.name} cannot be removed ({error}): another chain that is not ours jumps to it"
                ) from error

    def _create(self, table: Any, data: dict[str, Any]) -> None:
        chains = {name: table.create_chain(name) for name in data["chains"]}
        for name, rules in data["chains"].items():
            for rule in rules:
                chains[name].append_rule(self._encode(rule))
        for name, rules in data["hooks"].items():
            for rule in reversed(rules):
                self._iptc.Chain(table, name).insert_rule(self._encode(rule))

    def _encode(self, rule: dict[str, Any]) -> Any:
        encoded = self._easy.encode_iptc_rule(copy.deepcopy(rule), self._six)
        understood = self._decode(encoded)
        if understood != rule:
            raise ChildError(f"python-iptables does not understand {rule}; it would write {understood}")
        return encoded

    def _decode(self, rule: Any) -> dict[str, Any]:
        decoded: dict[str, Any] = self._easy.decode_iptc_rule(rule, self._six)
        decoded.pop("counters", None)
        return decoded


@contextlib.contextmanager
def _xtables_lock() -> Iterator[None]:
    """The lock that iptables(8) takes; python-iptables does not, and a rule written in between would be lost."""
    path = os.environ.get("XTABLES_LOCKFILE", "/run/xtables.lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ChildError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        if not lock_within(descriptor, _LOCK_SECONDS):
            raise ChildError(f"{path} is still held by another process after {_LOCK_SECONDS:g} s")
        yield
    finally:
        os.close(descriptor)


def answer(tables: Tables, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request."""
    try:
        if request["do"] == "read":
            return {"tables": tables.read()}
        return {"table": tables.write(request["table"], request["data"])}
    except ChildError as error:
        return {"error": str(error)}


def main(arguments: list[str]) -> int:
    """Answer requests until the input ends. The first line out says whether python-iptables is there."""
    # What libxtables prints goes to standard error, never between our lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Ctrl-C reaches the whole process group, and the parent needs us to undo what it did.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tables = Tables(int(arguments[0]), arguments[1])
    except ChildError as error:
        print(json.dumps({"missing": str(error)}), file=out)
        return 1
    print(json.dumps({"ready": True}), file=out)
    for line in sys.stdin:
        try:
            reply = answer(tables, json.loads(line))
        except Exception as error:  # noqa: BLE001 - the parent gets a sentence, whatever the library raised
            reply = {"error": f"python-iptables failed: {type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
