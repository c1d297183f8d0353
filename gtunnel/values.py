"""Dataclasses that cost a start little: `dataclasses.dataclass`, but for how the methods come about.

The standard library's compiles six methods for each frozen class, each by itself, which takes up to a millisecond, and
gtunnel has one and a half hundred such classes: a quarter of a start, which a client of inetd mode waits for. Here the
fields are still the standard library's business (so `fields`, `replace` and `asdict` work), `__init__` alone is
compiled, and what is the same for all classes is shared by them.

Of `dataclass`'s options there are those that gtunnel uses. What is not here (order, InitVar, pickling) is not needed.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

C = TypeVar("C", bound=type[Any])


@overload
def dataclass(cls: C, /) -> C: ...
@overload
def dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
) -> Callable[[C], C]: ...
@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(
    cls: C | None = None, /, *, frozen: bool = False, slots: bool = False, kw_only: bool = False, eq: bool = True
) -> C | Callable[[C], C]:
    """`dataclasses.dataclass`. With `frozen`, instances are hashable if their fields are."""

    def made(declared: C) -> C:
        if not declared.__doc__:
            # Or the standard library has `inspect` work out the signature: three times of what all the rest takes.
            declared.__doc__ = declared.__name__
        # Asked for no method, it compiles nothing.
        plain = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
        ready = plain(declared)
        _complete(ready, frozen=frozen, eq=eq)
        return ready  # type: ignore[return-value]

    return made if cls is None else made(cls)


def _complete(cls: type[Any], *, frozen: bool, eq: bool) -> None:
    """Add what was not made. A method that the class defines itself stays."""
    fields = dataclasses.fields(cls)
    methods: dict[str, Any] = {
        "__init__": _initialiser(cls, fields, frozen=frozen),
        "__repr__": _representation(fields),
    }
    if eq:
        values = _values(tuple(field.name for field in fields if field.compare))
        methods["__eq__"] = _equality(values)
        methods["__hash__"] = _hashing(values) if frozen else None
    if frozen:
        methods |= {"__setattr__": _refuse_change, "__delattr__": _refuse_removal}
    for name, method in methods.items():
        # A class that says what equals what has `__hash__ = None` from Python, unless it says that as well.
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(cls, name, method)


def _initialiser(cls: type[Any], fields: tuple["Field[Any]", ...], *, frozen: bool) -> Callable[..., None]:
    names: dict[str, Any] = {"MISSING": MISSING}
    positional: list[str] = ["self"]
    keywords: list[str] = []
    body: list[str] = []
    for field in fields:
        name = field.name
        parameter, value = name, name
        if field.default is not MISSING:
            names[f"default_{name}"] = field.default
            parameter = f"{name}=default_{name}"
            value = name if field.init else f"default_{name}"
        elif field.default_factory is not MISSING:
            names[f"make_{name}"] = field.default_factory
            parameter = f"{name}=MISSING"
            value = f"make_{name}() if {name} is MISSING else {name}" if field.init else f"make_{name}()"
        elif not field.init:
            continue
        if field.init:
            (keywords if field.kw_only else positional).append(parameter)
        body.append(_assignment(cls, name, value, names) if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join((*positional, *(("*", *keywords) if keywords else ())))
    text = f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"])
    exec(text, names)  # noqa: S102 - of names that the class declares
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _assignment(cls: type[Any], name: str, value: str, names: dict[str, Any]) -> str:
    """Past the `__setattr__` that refuses."""
    slot = getattr(cls, name, None) if name in getattr(cls, "__slots__", ()) else None
    if slot is None:
        names["set"] = object.__setattr__
        return f"set(self, {name!r}, {value})"
    names[f"set_{name}"] = slot.__set__
    return f"set_{name}(self, {value})"


def _values(names: tuple[str, ...]) -> Callable[[Any], object]:
    """What an instance is compared by."""
    if not names:
        return lambda _: ()
    return attrgetter(*names)


def _equality(values: Callable[[Any], object]) -> Callable[[Any, Any], bool]:
    def equal(self: Any, other: Any) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hashing(values: Callable[[Any], object]) -> Callable[[Any], int]:
    return lambda self: hash(values(self))


def _representation(fields: tuple["Field[Any]", ...]) -> Callable[[Any], str]:
    shown = tuple(field.name for field in fields if field.repr)

    @recursive_repr()
    def represent(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return represent


def _refuse_change(_: object, name: str, __: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_removal(_: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
