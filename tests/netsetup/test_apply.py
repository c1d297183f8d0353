"""Undoing, with a kernel that is a list: which steps run, in which order, and what is said when they fail."""

from types import TracebackType
from typing import Self

import pytest

from netsetup.apply import Executor
from netsetup.backends.contract import Content, Image
from netsetup.errors import FirewallError, RoutingError, StepError, UndoError
from netsetup.state import Chain, Family, IpRule, Route
from netsetup.steps import FirewallStep, RouteStep, RuleStep

ROUTE = Route(family=Family.IPV4, table=1)
RULE = IpRule(family=Family.IPV4, priority=1, table=1)
STEPS = (
    RouteStep(route=ROUTE, add=True),
    RuleStep(rule=RULE, add=True),
    FirewallStep(unit="u", before=Content("old", ("old",)), after=Content("new", ("new",))),
)


class Kernel:
    """Stands in for both routing and firewall; refuses what is in `refused`."""

    name = "list"

    def __init__(self, *refused: str) -> None:
        self.trace: list[str] = []
        self._refused = refused

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def add_rule(self, rule: IpRule) -> None:
        self._do(f"+rule {rule.priority}")

    def delete_rule(self, rule: IpRule) -> None:
        self._do(f"-rule {rule.priority}")

    def add_route(self, route: Route) -> None:
        self._do(f"+route {route.table}")

    def delete_route(self, route: Route) -> None:
        self._do(f"-route {route.table}")

    def write(self, unit: str, content: Content | None) -> None:
        self._do(f"{unit}={content.data if content else None}")

    def render(self, chains: tuple[Chain, ...]) -> Image:  # noqa: ARG002
        return {}

    def read(self) -> Image:
        return {}

    def warnings(self) -> tuple[str, ...]:
        return ()

    def _do(self, what: str) -> None:
        self.trace.append(what)
        if what in self._refused:
            if what == "interrupt":
                raise KeyboardInterrupt
            raise (FirewallError(unit=what, reason="no") if "=" in what else RoutingError(what=what, reason="no"))


def _executor(kernel: Kernel) -> Executor:
    return Executor(kernel, kernel)  # type: ignore[arg-type]


def test_steps_run_in_order_and_are_undone_in_reverse() -> None:
    kernel = Kernel()
    executor = _executor(kernel)
    executor.run(STEPS)
    assert kernel.trace == ["+route 1", "+rule 1", "u=new"]
    executor.undo("of a test")
    assert kernel.trace[3:] == ["u=old", "-rule 1", "-route 1"]
    executor.undo("of a test")
    assert len(kernel.trace) == 6


def test_a_failed_step_is_undone_with_all_before_it() -> None:
    kernel = Kernel("u=new")
    with pytest.raises(StepError, match=r"failed at: - old: u=new: no; everything done before it was undone") as told:
        _executor(kernel).run(STEPS)
    assert kernel.trace[3:] == ["u=old", "-rule 1", "-route 1"]
    assert isinstance(told.value.__cause__, FirewallError)


def test_a_step_that_cannot_be_undone_either_did_nothing() -> None:
    kernel = Kernel("u=new", "u=old")
    with pytest.raises(StepError):
        _executor(kernel).run(STEPS)


def test_failing_to_undo_is_told_with_both_reasons_and_the_rest_is_undone() -> None:
    kernel = Kernel("u=new", "-rule 1")
    with pytest.raises(UndoError, match=r"u=new: no; then undoing failed at: - ip -4 rule.*run destroy"):
        _executor(kernel).run(STEPS)
    assert kernel.trace[-1] == "-route 1"


def test_an_interrupt_undoes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()

    def interrupted(_rule: IpRule) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel, "add_rule", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _executor(kernel).run(STEPS)
    assert kernel.trace == ["+route 1", "-rule 1", "-route 1"]
