"""Running nft(8): the one place that does.

What nft reads back is not what it was given: it normalises, and each version and kernel does it in its own way. So a
ruleset is made comparable by loading it in a namespace that exists for this one command (`canonical`): what comes out
is what this nft and this kernel will say once they hold it.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from netsetup.errors import BackendError, FirewallError

NAME: Final = "nftables"
_SECONDS: Final = 60.0
_FRAME: Final = "\0"
"""Between the text and the JSON of one listing; neither can contain it."""
_VOLATILE: Final = frozenset({"handle", "packets", "bytes"})
# Loads what comes in, says what it became; the text first.
_LOAD_AND_LIST: Final = r"""nft -f - && nft -s list table inet "$0" && printf '\0' && nft -j list table inet "$0" """
_LIST: Final = r"""nft -s list table inet "$0" && printf '\0' && nft -j list table inet "$0" """


@dataclass(frozen=True, slots=True)
class Listing:
    """A table as nft lists it. `text` can be loaded again; `objects` are its JSON without handles and counts."""

    text: str
    objects: tuple[Any, ...]

    def named(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """The objects of a kind: "chain", "rule", "set"."""
        return tuple(one[kind] for one in self.objects if kind in one)


def is_there() -> bool:
    """Whether there is a program nft."""
    return shutil.which("nft") is not None


def require() -> None:
    """Raise BackendError where there is no nft."""
    if not is_there():
        raise BackendError(
            backend=NAME,
            reason="there is no program nft",
            instead="install it (Debian: apt install nftables), or use netBackend = iptables",
        )


def canonical(script: str, table: str) -> Listing:
    """What the table inet `table`, which `script` makes, looks like once the kernel holds it. Changes nothing here.

    Raises FirewallError with nft's own words for a script that cannot be loaded.
    """
    unshare = ["unshare", "--net", "--", "sh", "-c", _LOAD_AND_LIST, table]
    return _listing(_run(unshare, script, f"nft table inet {table}"))


def listed(table: str) -> Listing | None:
    """What the kernel holds of the table inet `table`; None where there is no such table."""
    if table not in tables():
        return None
    return _listing(_run(["sh", "-c", _LIST, table], "", f"nft table inet {table}"))


def tables() -> tuple[str, ...]:
    """The names of the tables of the family inet."""
    listing = json.loads(_run(["nft", "-j", "list", "tables", "inet"], "", "nft list tables") or "{}")
    return tuple(one["table"]["name"] for one in listing.get("nftables", ()) if "table" in one)


def tables_in_use() -> tuple[str, ...]:
    """Tables of any family that do something to packets: they have a rule, or a policy that drops.

    None where nft is absent or fails, since that only costs a warning.
    """
    if not is_there():
        return ()
    try:
        listed = json.loads(_run(["nft", "-j", "-t", "list", "ruleset"], "", "nft ruleset"))["nftables"]
    except (ValueError, KeyError, FirewallError):
        return ()
    rules = [item["rule"] for item in listed if "rule" in item]
    dropping = [item["chain"] for item in listed if "chain" in item and item["chain"].get("policy") == "drop"]
    return tuple(sorted({f"{one['family']} {one['table']}" for one in (*rules, *dropping)}))


def load(script: str, table: str) -> None:
    """Have the kernel do all of `script`, in one transaction, or nothing. Raises FirewallError."""
    _run(["nft", "-f", "-"], script, f"nft table inet {table}")


def _run(argv: list[str], stdin: str, unit: str) -> str:
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            close_fds=False,  # the lock, see `ledger.lock`
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise FirewallError(unit=unit, reason=f"there is no program {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise FirewallError(unit=unit, reason=f"{argv[0]} took more than {_SECONDS:g} seconds") from error
    if done.returncode != 0:
        raise FirewallError(unit=unit, reason=_complaint(done.stderr) or f"{argv[0]} ended with {done.returncode}")
    return done.stdout


def _complaint(text: str) -> str:
    """nft's error in one line: the message, and the rule that it is about."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" \t^~")]
    return ": ".join(line.removeprefix("/dev/stdin:") for line in lines[:2])


def _listing(output: str) -> Listing:
    text, _, content = output.partition(_FRAME)
    return Listing(text, tuple(_settled(one) for one in json.loads(content)["nftables"] if "metainfo" not in one))


def _settled(value: Any) -> Any:
    """Without what moves by itself."""
    if isinstance(value, list):
        return [_settled(one) for one in value]
    if isinstance(value, dict):
        return {name: _settled(one) for name, one in value.items() if name not in _VOLATILE}
    return value
