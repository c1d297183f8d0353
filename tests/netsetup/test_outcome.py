from netsetup.outcome import Outcome, Status
from netsetup.state import Family, Route
from netsetup.steps import RouteStep

STEP = RouteStep(route=Route(family=Family.IPV4, table=1), add=True)
LINE = "+ ip -4 route local default dev lo table 1 proto 157"


def test_an_outcome_ends_with_a_sentence() -> None:
    done = Outcome(action="apply", steps=(STEP,), notes=("why",), warnings=("beware",))
    assert done.changed
    assert done.lines() == ("# why", "! beware", LINE, "apply: 1 step done")
    assert Outcome(action="destroy", steps=(STEP, STEP)).lines()[-1] == "destroy: 2 steps done"


def test_a_dry_run_changed_nothing() -> None:
    told = Outcome(action="apply", steps=(STEP,), dry_run=True)
    assert not told.changed
    assert told.lines()[-1] == "apply: 1 step to do; nothing was changed (dry run)"
    assert Outcome(action="apply", steps=(), dry_run=True).lines() == ("apply: nothing to do",)


def test_a_status_says_in_sync_or_what_differs() -> None:
    assert Status(differences=()).in_sync
    assert Status(differences=(), warnings=("beware",)).lines() == ("! beware", "in sync")
    drifted = Status(differences=(LINE,))
    assert not drifted.in_sync
    assert drifted.lines() == (LINE, "drift: the lines above are what apply would change")
