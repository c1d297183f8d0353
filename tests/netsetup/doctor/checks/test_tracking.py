import pytest

from netsetup.doctor.checks.tracking import check
from netsetup.doctor.facts import Tracking
from netsetup.model import Method
from tests.netsetup.doctor.cases import capturing, facts, titles


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (10, []),
        (89, []),
        (90, ["warning: Connection tracking is nearly full"]),
        (100, ["error: Connection tracking is full"]),
    ],
)
def test_how_full_it_is(count: int, found: list[str]) -> None:
    assert titles(check(facts(tracking=Tracking(count=count, limit=100)))) == found


def test_no_limit_is_never_reached() -> None:
    assert list(check(facts(tracking=Tracking(count=100, limit=0)))) == []


def test_without_it_some_modes_do_not_work() -> None:
    assert titles(check(facts(capturing(Method.REDIRECT), tracking=None))) == [
        "error: This kernel tracks no connections"
    ]
    assert list(check(facts(capturing(fail_closed=False), tracking=None))) == []
