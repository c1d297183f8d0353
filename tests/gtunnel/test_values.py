"""Dataclasses made cheaply are dataclasses: what is said here of ours is said of the standard library's as well."""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from time import process_time
from typing import Any, ClassVar

import pytest

from gtunnel import values

Decorator = Callable[..., Any]


@pytest.fixture(params=[values.dataclass, dataclasses.dataclass], ids=["ours", "the standard library's"])
def dataclass(request: pytest.FixtureRequest) -> Decorator:
    """One after the other."""
    found: Decorator = request.param
    return found


def point(dataclass: Decorator, **options: bool) -> Any:
    """A class with every kind of field."""

    @dataclass(**options)
    class Point:
        """Somewhere."""

        x: int
        y: int = 2
        tags: list[str] = field(default_factory=list, compare=False)
        secret: str = field(default="hush", repr=False)
        count: int = field(default=7, init=False)
        log: list[int] = field(default_factory=list, init=False, compare=False)
        kind: ClassVar[str] = "point"

    return Point


EVERY = [{}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True}, {"frozen": True, "kw_only": True}]


@pytest.mark.parametrize("options", EVERY)
def test_fields_come_from_arguments_and_defaults(dataclass: Decorator, options: dict[str, bool]) -> None:
    kind = point(dataclass, **options)
    one = kind(x=1)
    assert (one.x, one.y, one.tags, one.secret, one.count, one.log) == (1, 2, [], "hush", 7, [])
    assert kind(x=1, tags=["a"], y=5).tags == ["a"]
    assert kind(x=1).tags is not kind(x=1).tags
    assert kind.kind == "point"
    assert kind.__doc__ == "Somewhere."


def test_arguments_are_positional_in_their_order_unless_they_have_to_be_named(dataclass: Decorator) -> None:
    kind, named = point(dataclass), point(dataclass, kw_only=True)
    assert kind(1, 3, [], "s").y == 3
    with pytest.raises(TypeError):
        named(1)
    assert list(inspect.signature(kind).parameters) == ["x", "y", "tags", "secret"]


@pytest.mark.parametrize("arguments", [{}, {"x": 1, "z": 2}, {"x": 1, "count": 2}])
def test_what_is_missing_or_unknown_is_refused(dataclass: Decorator, arguments: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\)"):
        point(dataclass, frozen=True, slots=True)(**arguments)


@pytest.mark.parametrize("options", EVERY)
def test_equal_are_those_of_one_class_whose_compared_fields_are(dataclass: Decorator, options: dict[str, bool]) -> None:
    kind, other = point(dataclass, **options), point(dataclass, **options)
    assert kind(x=1) == kind(x=1, tags=["a"])
    assert kind(x=1) != kind(x=2)
    assert kind(x=1) != other(x=1)
    assert kind(x=1) != (1, 2, "hush", 7)


def test_frozen_ones_hash_as_they_compare_and_others_do_not_hash(dataclass: Decorator) -> None:
    frozen = point(dataclass, frozen=True, slots=True)
    assert len({frozen(1), frozen(1, tags=["a"]), frozen(2)}) == 2
    with pytest.raises(TypeError):
        hash(point(dataclass)(1))


def test_one_may_be_itself_alone(dataclass: Decorator) -> None:
    @dataclass(slots=True, eq=False)
    class Member:
        """One of several."""

        name: str

    assert Member("a") != Member("a")
    assert len({Member("a"), Member("a")}) == 2


@pytest.mark.parametrize("slots", [False, True])
def test_frozen_ones_do_not_change(dataclass: Decorator, slots: bool) -> None:
    one = point(dataclass, frozen=True, slots=slots)(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    changing = point(dataclass, slots=slots)(1)
    changing.x = 2
    assert changing.x == 2


def test_slots_leave_no_room_for_anything_else(dataclass: Decorator) -> None:
    assert not hasattr(point(dataclass, slots=True)(1), "__dict__")
    assert not hasattr(point(dataclass, slots=True, frozen=True)(1), "__dict__")
    assert hasattr(point(dataclass)(1), "__dict__")


def test_a_representation_leaves_secrets_out(dataclass: Decorator) -> None:
    shown = repr(point(dataclass, frozen=True, slots=True)(1))
    assert shown.endswith("Point(x=1, y=2, tags=[], count=7, log=[])")
    assert "hush" not in shown


def test_one_that_contains_itself_has_a_representation(dataclass: Decorator) -> None:
    one = point(dataclass)(1)
    one.tags.append(one)
    assert "tags=[...]" in repr(one)


def test_methods_that_a_class_has_stay(dataclass: Decorator) -> None:
    @dataclass(frozen=True, slots=True)
    class Name:
        """A name in any case."""

        text: str

        def __post_init__(self) -> None:
            assert self.text

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Name) and self.text.lower() == other.text.lower()

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return self.text

    assert Name("a") == Name("A")
    assert repr(Name("a")) == "a"
    assert hash(Name("a")) == 7
    with pytest.raises(AssertionError):
        Name("")


def test_a_class_with_nothing_of_its_own_equals_its_like(dataclass: Decorator) -> None:
    @dataclass(frozen=True, slots=True)
    class Nothing:
        """No fields."""

    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


@pytest.mark.parametrize("options", EVERY)
def test_the_standard_library_knows_their_fields(dataclass: Decorator, options: dict[str, bool]) -> None:
    kind = point(dataclass, **options)
    one: Any = kind(x=1)
    assert [each.name for each in dataclasses.fields(kind)] == ["x", "y", "tags", "secret", "count", "log"]
    changed = dataclasses.replace(one, x=9)
    assert changed == kind(x=9)
    assert dataclasses.asdict(one)["x"] == 1
    assert dataclasses.is_dataclass(kind)


def test_they_can_be_matched_by_position(dataclass: Decorator) -> None:
    kind = point(dataclass, frozen=True, slots=True)
    match kind(3):
        case kind(x, y):
            assert (x, y) == (3, 2)
        case _:
            raise AssertionError


def test_a_subclass_has_the_fields_of_both(dataclass: Decorator) -> None:
    base = point(dataclass, frozen=True, slots=True)

    @dataclass(frozen=True, slots=True)
    class Deep(base):  # type: ignore[misc, valid-type]
        """With a depth."""

        z: int = 4

    assert (Deep(1, z=5).x, Deep(1, z=5).z) == (1, 5)
    assert Deep(1) != Deep(1, z=5)


def test_a_class_without_a_docstring_is_no_dearer() -> None:
    @values.dataclass(slots=True)
    class Bare:
        x: int

    assert Bare.__doc__ == "Bare"


def test_it_is_no_dearer_than_half_of_the_standard_librarys() -> None:
    def cost(dataclass: Decorator) -> float:
        began = process_time()
        for _ in range(50):
            point(dataclass, frozen=True, slots=True)
        return process_time() - began

    # The least of some: whatever else runs on the machine makes either slower, never faster.
    assert min(cost(values.dataclass) for _ in range(5)) < min(cost(dataclasses.dataclass) for _ in range(5)) / 2
