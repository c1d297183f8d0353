"""nftables' expressions as text, near to what nft(8) prints; what is not simple stays JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any


def text(expressions: list[Any]) -> str:
    """A rule's expressions in a line."""
    return " ".join(_word(expression) for expression in expressions)


def _word(expression: Any) -> str:
    if isinstance(expression, list):
        return ",".join(_word(one) for one in expression)
    if not isinstance(expression, dict):
        return str(expression)
    name, value = next(iter(expression.items()))
    if name in _WORDS:
        return _WORDS[name](value)
    return name if value is None else json.dumps(expression)


def _match(value: Mapping[str, Any]) -> str:
    operator = "" if value.get("op") in ("==", "in") else f"{value.get('op')} "
    return f"{_word(value['left'])} {operator}{_word(value['right'])}"


def _payload(value: Mapping[str, Any]) -> str:
    return f"{value['protocol']} {value['field']}" if "field" in value else json.dumps({"payload": value})


def _meta(value: Mapping[str, Any]) -> str:
    key = str(value["key"])
    return key if key in ("iifname", "oifname", "iif", "oif") else f"meta {key}"


def _set(value: Any) -> str:
    return "{ " + ", ".join(_word(one) for one in (value if isinstance(value, list) else [value])) + " }"


def _vmap(value: Mapping[str, Any]) -> str:
    data = value["data"]
    if not isinstance(data, dict):
        return f"{_word(value['key'])} vmap {data}"
    pairs = (f"{_word(key)} : {_word(verdict)}" for key, verdict in data.get("set", []))
    return f"{_word(value['key'])} vmap {{ {', '.join(pairs)} }}"


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "match": _match,
    "payload": _payload,
    "meta": _meta,
    "ct": lambda value: f"ct {value['key']}",
    "fib": lambda value: f"fib {_word(value['flags'])} {value['result']}",
    "prefix": lambda value: f"{value['addr']}/{value['len']}",
    "range": lambda value: f"{_word(value[0])}-{_word(value[1])}",
    "set": _set,
    "vmap": _vmap,
    "jump": lambda value: f"jump {value['target']}",
    "goto": lambda value: f"goto {value['target']}",
    "counter": lambda _value: "counter",
    "mangle": lambda value: f"{_word(value['key'])} set {_word(value['value'])}",
    "&": lambda value: " & ".join(_word(one) for one in value),
    "|": lambda value: " | ".join(_word(one) for one in value),
    "concat": lambda value: " . ".join(_word(one) for one in value),
}
