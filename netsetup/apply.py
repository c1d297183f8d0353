"""Running steps, and undoing them: what failed leaves the kernel as it was."""

from collections.abc import Sequence

from netsetup.backends.firewall import Firewall
from netsetup.errors import NetsetupError, StepError, UndoError
from netsetup.kernel import sysctl
from netsetup.kernel.routing import Routing
from netsetup.steps import FirewallStep, RouteStep, RuleStep, Step, SysctlStep


class Executor:
    """Runs steps on the kernel of this process's namespace, and remembers them until `forget`."""

    def __init__(self, routing: Routing, firewall: Firewall) -> None:
        self._routing = routing
        self._firewall = firewall
        self._done: list[Step] = []

    def run(self, steps: Sequence[Step]) -> None:
        """Run them in order. If one fails, undo it and all before it, then raise StepError (or UndoError)."""
        for step in steps:
            # Remembered first: a step that fails half-way, or is interrupted, is undone as well. Every undo is harmless
            # where nothing was done.
            self._done.append(step)
            try:
                self._perform(step)
            except NetsetupError as error:
                self._undo_after(step, error)
                raise StepError(step=step.lines()[0], reason=error) from error
            except BaseException as error:
                self.undo(f"{type(error).__name__} while at it")
                raise

    def undo(self, reason: str) -> None:
        """Undo all steps that were run, last first, because of `reason`. Raises UndoError after trying all of them."""
        last = self._done[-1].lines()[0] if self._done else ""
        failed = self._reverse_all()
        if failed is not None:
            undone = failed[0].reverse().lines()[0]
            raise UndoError(step=last, reason=reason, undo_step=undone, undo_reason=failed[1]) from failed[1]

    def _undo_after(self, step: Step, error: NetsetupError) -> None:
        failed = self._reverse_all()
        # The failed step itself may be impossible to undo for the reason that made it fail; then it changed nothing.
        if failed is not None and failed[0] is not step:
            raise UndoError(
                step=step.lines()[0], reason=error, undo_step=failed[0].reverse().lines()[0], undo_reason=failed[1]
            ) from failed[1]

    def _reverse_all(self) -> tuple[Step, NetsetupError] | None:
        """Returns the last step that could not be undone with its error (those before it are the likelier causes)."""
        failed: tuple[Step, NetsetupError] | None = None
        while self._done:
            step = self._done.pop()
            try:
                self._perform(step.reverse())
            except NetsetupError as error:
                failed = step, error
        return failed

    def _perform(self, step: Step) -> None:
        if isinstance(step, FirewallStep):
            self._firewall.write(step.unit, step.after)
        elif isinstance(step, RuleStep):
            (self._routing.add_rule if step.add else self._routing.delete_rule)(step.rule)
        elif isinstance(step, RouteStep):
            (self._routing.add_route if step.add else self._routing.delete_route)(step.route)
        else:
            _write_sysctl(step)


def _write_sysctl(step: SysctlStep) -> None:
    sysctl.write(step.path, step.after)
