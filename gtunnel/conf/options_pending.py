"""Options of the manual that do not work yet, or cannot work here: gtunnel refuses to start with them.

A value that asks for what gtunnel does anyway is accepted (`works_for`): a file full of explicit defaults still runs.
When an option comes to work, its row moves to where its value is used.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from gtunnel.conf.option import Scope, Single, Topic
from gtunnel.conf.parsers import anything, yes_no

T = TypeVar("T")

NO_EGD = "OpenSSL has no entropy gathering daemon any more; it takes the kernel's randomness"
NO_COMPRESSION = "compression under TLS gives secrets away (CRIME), and this OpenSSL is built without it"


def _text(
    name: str, metavar: str, help_text: str, *, scope: Scope = Scope.SERVICE, secret: bool = False
) -> Single[str]:
    """A row whose every value is refused."""
    return Single(
        name=name,
        scope=scope,
        parse=anything,
        default="",
        metavar=metavar,
        help=help_text,
        works_for=(),
        secret=secret,
    )


def _only(value: T, parse: Callable[[str], T], name: str, metavar: str, help_text: str) -> Single[T]:
    """A service row that works for one value, which is what gtunnel does anyway."""
    return Single(
        name=name,
        scope=Scope.SERVICE,
        parse=parse,
        default=value,
        metavar=metavar,
        help=help_text,
        works_for=(value,),
    )


def _impossible(name: str, metavar: str, help_text: str, why: str, scope: Scope = Scope.GLOBAL) -> Single[str]:
    """A row that is refused for a reason of its own."""
    return Single(
        name=name,
        scope=scope,
        parse=anything,
        default="",
        metavar=metavar,
        help=help_text,
        works_for=(),
        refusal=why,
    )


GLOBAL_OPTIONS = (
    replace(
        _impossible("compression", "deflate|zlib", "compress what TLS carries", NO_COMPRESSION), topic=Topic.POLICY
    ),
    replace(_impossible("EGD", "PATH", "socket of an entropy gathering daemon", NO_EGD), topic=Topic.LIBRARY),
    _text("setEnv", "NAME=VALUE", "environment of started programs", scope=Scope.GLOBAL, secret=True),
)

SERVICE_OPTIONS = (
    _text("exec", "PROGRAM", "program to run for each connection"),
    _text("execArgs", "$0 $1 ...", "the program's arguments, its name first"),
    _only(False, yes_no, "pty", "yes|no", "run the program on a pseudo-terminal"),
    # A delay in milliseconds is a way to say yes.
    _only("no", str.lower, "retry", "yes|no|MILLISECONDS", "start a program again when it has ended"),
)

OPTIONS = (*GLOBAL_OPTIONS, *SERVICE_OPTIONS)
