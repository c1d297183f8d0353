import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from netsetup.backends.iptables_child import ChildError, answer
from tests.netsetup.world import ROOT, World


class _Failing:
    def read(self) -> dict[str, Any]:
        raise ChildError("a sentence")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


def _talk(world: World, family: int, *requests: object) -> list[Any]:
    argv = ["ip", "netns", "exec", world.gateway, sys.executable, "-m", "netsetup.backends.iptables_child"]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(
        [*argv, str(family), "gt"], input=lines, capture_output=True, text=True, cwd=ROOT, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_failure_is_answered_with_its_sentence() -> None:
    assert answer(_Failing(), {"do": "read"}) == {"error": "a sentence"}  # type: ignore[arg-type]


@pytest.mark.root
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "rule",
    [
        {"protocol": "tcp", "tcp": {"dport": "99999"}, "target": "ACCEPT"},
        {"protocol": "tcp", "nosuchmatch": {"x": "1"}, "target": "ACCEPT"},
        {"target": {"NOSUCHTARGET": {}}},
        {"protocol": "tcp", "tcp": {"dport": "80"}, "comment": {"comment": "x" * 300}, "target": "ACCEPT"},
        {"in-interface": "longer-than-fifteen", "target": "ACCEPT"},
        {"src": "nonsense", "target": "ACCEPT"},
    ],
)
def test_a_rule_that_the_library_would_change_is_not_written(world: World, family: int, rule: dict[str, Any]) -> None:
    data = {"chains": {"gt.c": [rule]}, "hooks": {}}
    before = world.snapshot()
    answers = _talk(world, family, {"do": "write", "table": "mangle", "data": data}, {"do": "read"})
    assert answers[0] == {"ready": True}
    assert len(answers) == 1 or "error" in answers[1]
    assert world.snapshot() == before


@pytest.mark.root
def test_errors_do_not_end_the_conversation(world: World) -> None:
    answers = _talk(world, 4, {"do": "write", "table": "nosuch", "data": {"chains": {}, "hooks": {}}}, {"do": "read"})
    assert "error" in answers[1]
    assert answers[2] == {"tables": {}}
