import pytest

from gtunnel.address import parse_endpoint
from gtunnel.conf.option import NOT_YET, BadValueError, Repeated, Row, Scope, Single
from gtunnel.conf.parsers import yes_no


def flag(**changes: object) -> Row[bool]:
    fields: dict[str, object] = {"name": "flag", "scope": Scope.SERVICE, "parse": yes_no, "default": False}
    return Single(**(fields | {"metavar": "yes|no", "help": "h"} | changes))  # type: ignore[arg-type]


def test_an_option_reads_its_value() -> None:
    assert flag().read("Yes") is True
    assert flag().works


def test_a_value_that_does_not_work_is_refused_with_the_reason() -> None:
    row = flag(works_for=(False,))
    assert row.read("no") is False
    with pytest.raises(BadValueError, match=NOT_YET):
        row.read("yes")


def test_a_value_that_is_none_is_told_before_what_does_not_work() -> None:
    with pytest.raises(BadValueError, match="needs to be"):
        flag(works_for=()).read("maybe")
    assert not flag(works_for=()).works


def test_an_ignored_option_does_not_work() -> None:
    assert not flag(ignored="why").works


def test_errors_of_addresses_become_errors_of_values() -> None:
    row = Repeated(name="a", aliases=("b",), scope=Scope.SERVICE, parse=parse_endpoint, metavar="A", help="h")
    assert row.names == ("a", "b")
    with pytest.raises(BadValueError, match="not an address"):
        row.read("1:99999")
