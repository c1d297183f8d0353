"""Data that crosses between processes: it comes back as it was, and nothing else comes out of it."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.cli import plaindata
from netsetup.model import Backend, Capture, Interception, Listener, Marks, Method, Request, Target

REQUEST = Request(
    interceptions=(
        Interception(
            name="ä",
            listeners=(Listener(host="::1", port=1),),
            source=True,
            capture=Capture(ports=((1, 2), (3, 4)), interfaces=("eth1",), local=True, method=Method.TPROXY),
            targets=(Target(host="192.0.2.1", port=2),),
        ),
        Interception(name="b", listeners=(), source=False),
    ),
    backend=Backend.IPTABLES,
    marks=Marks.from_first(1, 0xFF),
)


def through(value: object) -> Any:
    return json.loads(json.dumps(plaindata.encode(value)))


def test_a_request_comes_back_as_it_was() -> None:
    assert plaindata.decode(Request, through(REQUEST)) == REQUEST


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("table",), "100"),
        (("table",), True),
        (("table",), None),
        (("instance",), ["x"]),
        (("backend",), "nonsense"),
        (("marks",), None),
        (("marks", "mask"), 1.5),
        (("interceptions",), "x"),
        (("interceptions", 0), []),
        (("interceptions", 0, "source"), 1),
        (("interceptions", 0, "capture", "ports", 0), [1, 2, 3]),
        (("interceptions", 0, "more"), 1),
    ],
)
def test_what_is_not_of_its_type_is_refused(path: tuple[Any, ...], value: object) -> None:
    data = through(REQUEST)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=r".+"):
        plaindata.decode(Request, data)


def test_a_field_that_is_missing_is_refused() -> None:
    data = through(REQUEST)
    del data["table"]
    with pytest.raises(ValueError, match="has the fields"):
        plaindata.decode(Request, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["interceptions", "name"]), inner),
    max_leaves=10,
)


@given(JSON)
def test_anything_else_is_an_error_that_callers_know(data: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        plaindata.decode(Request, data)


def test_a_type_that_is_not_provided_for_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: float

    with pytest.raises(ValueError, match="is no"):
        plaindata._decode(Odd, {"value": 1.0})
