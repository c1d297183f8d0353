"""What the operations answer, for programs and for people."""

from dataclasses import dataclass

from netsetup.plan import step_lines
from netsetup.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What apply or destroy did, or with `dry_run` would have done. `notes` and `warnings` as in Plan."""

    action: str
    steps: tuple[Step, ...]
    dry_run: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the kernel was changed."""
        return bool(self.steps) and not self.dry_run

    def data(self) -> dict[str, object]:
        """For programs: what `lines` says."""
        return {
            "action": self.action,
            "dry_run": self.dry_run,
            "changed": self.changed,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "steps": [step.data() for step in self.steps],
        }

    def lines(self) -> tuple[str, ...]:
        """For people: as Plan.lines(), with a closing sentence."""
        number = len(self.steps)
        if not self.steps:
            end = f"{self.action}: nothing to do"
        elif self.dry_run:
            end = f"{self.action}: {number} step{'s' * (number != 1)} to do; nothing was changed (dry run)"
        else:
            end = f"{self.action}: {number} step{'s' * (number != 1)} done"
        return (
            *(f"# {note}" for note in self.notes),
            *(f"! {warning}" for warning in self.warnings),
            *step_lines(self.steps),
            end,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether the kernel holds what is wanted. `differences`: `+` is missing, `-` should not be there, `~` differs."""

    differences: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def in_sync(self) -> bool:
        """Whether apply would have nothing to do."""
        return not self.differences

    def data(self) -> dict[str, object]:
        """For programs: what `lines` says."""
        return {"in_sync": self.in_sync, "warnings": list(self.warnings), "differences": list(self.differences)}

    def lines(self) -> tuple[str, ...]:
        """For people."""
        warnings = (f"! {warning}" for warning in self.warnings)
        if self.in_sync:
            return (*warnings, "in sync")
        return (*warnings, *self.differences, "drift: the lines above are what apply would change")
