"""stunnel's own command line: `gtunnel [FILE] | -fd N | -help | -version | -sockets | -options` (manual, SYNOPSIS).

The four questions are answered on standard error with exit status 0, as stunnel answers them.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gtunnel.cli import source
from gtunnel.conf import reference, socketoptions
from gtunnel.errors import UsageError
from gtunnel.version import VERSION

if TYPE_CHECKING:
    from gtunnel.daemon.kernel import Kernel

# More than any socket option's value takes.
_OPTION_BYTES = 64


# The longest name of a feature.
_FEATURE_WIDTH = 52


def run(arguments: list[str]) -> int:
    """Run a classic command line; returns the exit status. Raises `UsageError`."""
    questions: dict[str, Callable[[], Iterable[str]]] = {
        "-help": _help,
        "-version": _version,
        "-sockets": _sockets,
        "-options": _options,
    }
    # stunnel's options are taken in any case.
    first = arguments[0] if arguments else None
    if first is not None and first.startswith("-"):
        first = first.lower()
    if first in questions:
        _refuse_more(arguments, 1)
        sys.stderr.write("".join(f"{line}\n" for line in (*_banner(), " ", *questions[first]())))
        return 0
    if first == "-fd":
        if len(arguments) < 2:
            raise UsageError(detail="-fd needs the number of a file descriptor")
        _refuse_more(arguments, 2)
        return run_source(source.from_descriptor(arguments[1]))
    if first is not None and first.startswith("-"):
        reason = "there is no such option (see --help)"
        raise UsageError(detail=f'Invalid configuration file name "{arguments[0]}": {reason}')
    _refuse_more(arguments, 1)
    return run_source(source.from_file(first))


def run_source(chosen: source.Source, kernel: "Kernel | None" = None) -> int:
    """Run what a configuration says; returns the exit status. `kernel` is set up for it, if there is one."""
    from gtunnel.daemon import start

    return start.run(chosen.load, chosen.name, kernel)


def _refuse_more(arguments: list[str], most: int) -> None:
    if len(arguments) > most:
        raise UsageError(detail=f"too many arguments: {' '.join(arguments[most:])}")


def _banner() -> list[str]:
    from gtunnel.tls import features

    return [
        f"gtunnel {VERSION} on {os.uname().machine}-{sys.platform} platform",
        f"Running  with {features.library_version()} ({features.built_with()})",
    ]


def _help() -> Iterable[str]:
    return reference.help_lines()


def _version() -> Iterable[str]:
    from gtunnel.tls import features

    listed = (f"{feature.name:<{_FEATURE_WIDTH}} {feature.answer}" for feature in features.features())
    return ["Features of this machine:", *listed, "", *reference.default_lines()]


def _options() -> Iterable[str]:
    from gtunnel.tls import features

    return ["Supported TLS options:", *(f"options = {name}" for name in features.option_names())]


def _sockets() -> Iterable[str]:
    columns = "    {:<20}|{:^10}|{:^10}|{:^10}|{:>10}"
    yield "Socket option defaults:"
    yield columns.format("Option Name", "Accept", "Local", "Remote", "OS default").rstrip()
    yield "    --------------------+----------+----------+----------+----------"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as v4, socket.socket(socket.AF_INET6) as v6:
        for row in reference.socket_rows():
            shown = [row.accept or "--", row.local or "--", row.remote or "--"]
            sock = v6 if row.level == socket.IPPROTO_IPV6 else v4
            yield columns.format(row.name, *shown, _system_default(sock, row)).rstrip()


def _system_default(sock: socket.socket, row: socketoptions.SocketOptionRow) -> str:
    try:
        return socketoptions.render(row.kind, sock.getsockopt(row.level, row.number, _OPTION_BYTES))
    except OSError:
        return "--"
