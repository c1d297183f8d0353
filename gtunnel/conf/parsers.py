"""Parsers of option values: text in, value out, `BadValueError` with a reason if the text is none.

The makers at the top return parsers; an option's row names one of them. stunnel reads numbers as strtol does (signs,
leading zeros); so does this, but overflow is an error instead of another number.
"""

import grp
import ipaddress
import pwd
import re
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from gtunnel.address import Endpoint, HostPort, parse_endpoint
from gtunnel.conf.option import BadValueError
from gtunnel.errors import AddressError

E = TypeVar("E", bound=Enum)

# A domain name's longest text (RFC 1035, 2.3.4); also what fits TLS' server_name as every peer reads it.
MAX_HOST = 255
# PATH_MAX of Linux, with its terminating NUL (limits.h).
MAX_PATH = 4095
# 68 years: whatever is longer is a typing error, and overflows the C types of timers.
MAX_SECONDS = 2**31 - 1

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")


def integer(low: int, high: int, reason: str) -> Callable[[str], int]:
    """Parse a decimal number from `low` to `high`; `reason` opens the message if it is none."""

    def parse(text: str) -> int:
        if _NUMBER.fullmatch(text) is None or not low <= int(text) <= high:
            raise BadValueError(f"{reason}: a number from {low} to {high} is needed")
        return int(text)

    return parse


def choice(kind: type[E], reason: str = "", **aliases: E) -> Callable[[str], E]:
    """Parse one of the values of an enumeration, in any case. `aliases` are further spellings."""
    words = {str(member.value).lower(): member for member in kind} | aliases

    def parse(text: str) -> E:
        try:
            return words[text.lower()]
        except KeyError:
            raise BadValueError(reason or f"The argument needs to be {alternatives(*words)}") from None

    return parse


def alternatives(*words: str) -> str:
    """'either 'a', 'b' or 'c'', as stunnel says it."""
    quoted = [f"'{word}'" for word in words]
    return f"either {', '.join(quoted[:-1])} or {quoted[-1]}"


def text_of(what: str, limit: int = MAX_PATH) -> Callable[[str], str]:
    """Parse any text that is neither empty nor longer than `limit` bytes."""

    def parse(text: str) -> str:
        if not text:
            raise BadValueError(f"{what} is missing")
        if len(text.encode()) > limit:
            raise BadValueError(f"{what} is longer than {limit} bytes")
        return text

    return parse


def anything(text: str) -> str:
    """Take the text as it stands: for options that are refused or ignored whatever they say."""
    return text


def yes_no(text: str) -> bool:
    """Parse `yes` or `no`, in any case."""
    answers = {"yes": True, "no": False}
    if text.lower() not in answers:
        raise BadValueError("The argument needs to be either 'yes' or 'no'")
    return answers[text.lower()]


def path_or_none(text: str) -> str | None:
    """Parse a path; an empty one means none (`pid =`)."""
    return path(text) if text else None


path = text_of("a path")
_host_text = text_of("a host", MAX_HOST)


def host(text: str) -> str:
    """Parse a host name or a literal address. Nothing is resolved."""
    if any(c.isspace() for c in text):
        raise BadValueError("a host has no white space")
    return _host_text(text)


def server_name(text: str) -> str:
    """Parse a TLS server name; empty means that none is sent."""
    return host(text) if text else ""


def endpoint(text: str) -> Endpoint:
    """Parse an address to listen on. Port 0 lets the kernel choose."""
    result = parse_endpoint(text)
    if isinstance(result, HostPort):
        server_name(result.host)
    return result


def target(text: str) -> Endpoint:
    """Parse an address to connect to."""
    result = endpoint(text)
    if isinstance(result, HostPort) and result.port == 0:
        raise AddressError(text=text, reason="port 0 cannot be connected to")
    return result


def ip_address(text: str) -> str:
    """Parse an IPv4 or IPv6 literal into its canonical text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadValueError("an IPv4 or IPv6 address is needed") from None
    if "%" in text:
        raise BadValueError("an address without a zone is needed")
    return str(address)


def user(text: str) -> str:
    """Parse a user name that exists here, or a number."""
    if _NUMBER.fullmatch(text) is None:
        _known(pwd.getpwnam, text, "Illegal UID: there is no such user")
    return _id(text, "Illegal UID")


def group(text: str) -> str:
    """Parse a group name that exists here, or a number."""
    if _NUMBER.fullmatch(text) is None:
        _known(grp.getgrnam, text, "Illegal GID: there is no such group")
    return _id(text, "Illegal GID")


def _known(look_up: Callable[[str], object], name: str, reason: str) -> None:
    try:
        look_up(name)
    except (KeyError, ValueError, OSError):
        raise BadValueError(reason) from None


def _id(text: str, reason: str) -> str:
    # -1 (all ones) means "leave it" to setuid(2)'s relatives, so it is no id.
    if _NUMBER.fullmatch(text) is not None and not 0 <= int(text) < 2**32 - 1:
        raise BadValueError(reason)
    return text


def seconds(what: str) -> Callable[[str], float]:
    """Parse whole seconds, 0 included."""
    parse = integer(0, MAX_SECONDS, f"Illegal {what} timeout")

    def read(text: str) -> float:
        return float(parse(text))

    return read
