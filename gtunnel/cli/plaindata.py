"""Frozen dataclasses as JSON, and back: for data that crosses from a process with fewer rights to one with more.

What comes back is built from the types that the fields declare, and from nothing else.
"""

import dataclasses
import enum
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")

_PLAIN = (bool, int, str, type(None))


def encode(value: object) -> Any:
    """A dataclass of dataclasses, enumerations, tuples, texts, whole numbers, truth values and None, fit for JSON."""
    if dataclasses.is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    return [encode(item) for item in value] if isinstance(value, tuple) else value


def decode(kind: type[T], data: Any) -> T:
    """A dataclass from what `encode` made of one. Raises `ValueError` for anything else."""
    try:
        value: T = _decode(kind, data)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{kind.__name__}: {error}") from error
    return value


def _decode(kind: Any, data: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return _tuple(arguments, data)
    if origin in (types.UnionType, typing.Union):
        (wanted,) = (argument for argument in arguments if argument is not type(None))
        return None if data is None else _decode(wanted, data)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(data)
    if kind not in _PLAIN or type(data) is not kind:
        raise ValueError(f"{data!r} is no {kind}")
    return data


def _dataclass(kind: Any, data: Any) -> Any:
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(data, dict) or data.keys() != names:
        raise ValueError(f"{kind.__name__} has the fields {sorted(names)}")
    return kind(**{name: _decode(hints[name], data[name]) for name in names})


def _tuple(kinds: tuple[Any, ...], data: Any) -> Any:
    if not isinstance(data, list):
        raise TypeError(f"{data!r} is no list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_decode(kinds[0], item) for item in data)
    return tuple(_decode(kind, item) for kind, item in zip(kinds, data, strict=True))
