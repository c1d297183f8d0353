"""The steps that lead from one state of the kernel to another. Each knows its own reverse: undo is derived from do."""

import shlex
from dataclasses import dataclass, replace

from netsetup.backends.contract import Content
from netsetup.state import IpRule, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlStep:
    """Sets a sysctl (path below /proc/sys) that has the value `before`."""

    path: str
    before: str
    after: str

    def lines(self) -> tuple[str, ...]:
        """What will change, one line each."""
        return (f"~ sysctl {self.path.replace('/', '.')} = {self.after} (now {self.before})",)

    def commands(self) -> tuple[str, ...]:
        """The same as shell commands. Not by sysctl(8), which takes the dot in eth0.7 for a separator."""
        return (f"echo {self.after} > {shlex.quote(f'/proc/sys/{self.path}')}",)

    def data(self) -> dict[str, object]:
        """For programs."""
        return {"kind": "sysctl", "path": self.path, "before": self.before, "after": self.after}

    def reverse(self) -> "SysctlStep":
        """The step that undoes this one."""
        return replace(self, before=self.after, after=self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStep:
    """Adds or deletes a route of ours."""

    route: Route
    add: bool

    def lines(self) -> tuple[str, ...]:
        """What will change, one line each."""
        return (f"{'+' if self.add else '-'} {self.route}",)

    def commands(self) -> tuple[str, ...]:
        """The same as shell commands."""
        return (_ip_command(str(self.route), "route", add=self.add),)

    def data(self) -> dict[str, object]:
        """For programs."""
        return {"kind": "route", "add": self.add, "text": str(self.route)}

    def reverse(self) -> "RouteStep":
        """The step that undoes this one."""
        return replace(self, add=not self.add)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStep:
    """Adds or deletes an ip rule of ours."""

    rule: IpRule
    add: bool

    def lines(self) -> tuple[str, ...]:
        """What will change, one line each."""
        return (f"{'+' if self.add else '-'} {self.rule}",)

    def commands(self) -> tuple[str, ...]:
        """The same as shell commands."""
        return (_ip_command(str(self.rule), "rule", add=self.add),)

    def data(self) -> dict[str, object]:
        """For programs."""
        return {"kind": "rule", "add": self.add, "text": str(self.rule)}

    def reverse(self) -> "RuleStep":
        """The step that undoes this one."""
        return replace(self, add=not self.add)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallStep:
    """Replaces what is ours in one unit of the firewall; None is nothing."""

    unit: str
    before: Content | None
    after: Content | None

    def lines(self) -> tuple[str, ...]:
        """What will change, one line each: only lines that are in one of the two states, or the new order."""
        old = self.before.lines if self.before is not None else ()
        new = self.after.lines if self.after is not None else ()
        gone = tuple(f"- {line}" for line in old if old.count(line) > new.count(line))
        come = tuple(f"+ {line}" for line in new if new.count(line) > old.count(line))
        return (*gone, *come) or (f"~ {self.unit}: the same rules in their proper order",)

    def data(self) -> dict[str, object]:
        """For programs. `before` and `after` are all of ours in this unit."""
        return {
            "kind": "firewall",
            "unit": self.unit,
            "before": list(self.before.lines) if self.before is not None else [],
            "after": list(self.after.lines) if self.after is not None else [],
        }

    def reverse(self) -> "FirewallStep":
        """The step that undoes this one."""
        return replace(self, before=self.after, after=self.before)


def _ip_command(text: str, noun: str, *, add: bool) -> str:
    """`ip -4 rule pref …` as the command that adds or deletes it."""
    return text.replace(f" {noun} ", f" {noun} {'add' if add else 'del'} ", 1)


Step = SysctlStep | RouteStep | RuleStep | FirewallStep
