"""Times in certificates and answers: `Moment`s, always UTC, whatever the version of cryptography makes of them."""

import datetime

Moment = datetime.datetime


def moment(of: object, attribute: str) -> Moment | None:
    """A time that an object of cryptography has; None if it has none.

    From version 42 on `…_utc` has it with its zone, and before the plain name has it without; later the plain name is
    deprecated.
    """
    value = getattr(of, f"{attribute}_utc") if hasattr(type(of), f"{attribute}_utc") else getattr(of, attribute)
    return None if value is None else _utc(value)


def now() -> Moment:
    """This moment."""
    return datetime.datetime.now(datetime.UTC)


def text(when: Moment) -> str:
    """As stunnel's log shows it: `Nov 21 09:17:03 2026 GMT`."""
    return f"{when:%b} {when.day:2d} {when:%H:%M:%S %Y} GMT"


def _utc(value: object) -> Moment:
    if not isinstance(value, datetime.datetime):
        raise TypeError(f"{value!r} is no time")
    return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value
