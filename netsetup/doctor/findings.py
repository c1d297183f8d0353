"""What the doctor says: findings, for programs and for people."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any


class Severity(enum.IntEnum):
    """NOTE: may matter, nothing is known to be wrong. WARNING: some connections fail, or will. ERROR: none works."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause. `title`: what it is; `evidence`: the rule, sysctl, socket or route that was seen, as a tool would show
    it; `effect`: what happens to whose connections; `fix`: a command, an option, or what else to do."""

    severity: Severity
    title: str
    effect: str
    fix: str
    evidence: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """For people."""
        return (
            f"{self.severity.name.lower()}: {self.title}",
            *(f"    seen:   {line}" for line in self.evidence),
            f"    effect: {self.effect}",
            f"    fix:    {self.fix}",
        )

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "severity": self.severity.name.lower(),
            "title": self.title,
            "evidence": list(self.evidence),
            "effect": self.effect,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings, the worst first, each once."""

    findings: tuple[Finding, ...] = ()

    @staticmethod
    def of(findings: Iterable[Finding]) -> "Diagnosis":
        """Sorted; those that differ in their evidence only are one."""
        merged: dict[Finding, dict[str, None]] = {}
        for finding in findings:
            merged.setdefault(replace(finding, evidence=()), {}).update(dict.fromkeys(finding.evidence))
        found = [replace(finding, evidence=tuple(evidence)) for finding, evidence in merged.items()]
        return Diagnosis(findings=tuple(sorted(found, key=lambda finding: -finding.severity)))

    @property
    def serious(self) -> bool:
        """Whether there is anything worse than a note."""
        return any(finding.severity > Severity.NOTE for finding in self.findings)

    def lines(self) -> tuple[str, ...]:
        """For people."""
        if not self.findings:
            return ("nothing found",)
        return tuple(line for finding in self.findings for line in finding.lines())
