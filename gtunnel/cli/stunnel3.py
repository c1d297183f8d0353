"""`gtunnel3`: the command line of stunnel 3, from before there was a configuration file.

It is turned into the text of a configuration, as Debian's stunnel3 does, and read as any other. So everything that an
option means, and every complaint about it, is the configuration's.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NoReturn

from gtunnel.cli import main as command
from gtunnel.cli.source import Source
from gtunnel.conf.errors import ConfigError, Problem
from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import Configuration, Place
from gtunnel.errors import UsageError
from gtunnel.version import VERSION

# Letter and option, in the order in which they are written. The first ones have no value of their own.
FLAGS: Final = {
    "c": "client = yes",
    "T": "transparent = yes",
    "W": "RNDoverwrite = yes",
    "f": "foreground = yes",
}
VALUES: Final = {
    "D": "debug",
    "O": "socket",
    "o": "output",
    "C": "ciphers",
    "p": "cert",
    "v": "verify",
    "a": "CApath",
    "A": "CAfile",
    "t": "session",
    "N": "service",
    "u": "ident",
    "n": "protocol",
    "E": "EGD",
    "R": "RNDfile",
    "B": "RNDbytes",
    "I": "local",
    "d": "accept",
    "s": "setuid",
    "g": "setgid",
    "P": "pid",
    "r": "connect",
}
SECTION: Final = "stunnel3"
NAME: Final = "the command line"

USAGE: Final = """\
usage: gtunnel3 [-cTWf] [-d [HOST:]PORT] [-r [HOST:]PORT | -l PROGRAM | -L PROGRAM] [OPTION VALUE] ... [-- ARGUMENT ...]
       gtunnel3 --help | --version

As stunnel 3 was run. Without -d, the connection is standard input (inetd mode).

  -c  client mode                -d  accept, [HOST:]PORT        -r  connect, [HOST:]PORT
  -l  program to run (exec)      -L  the same on a terminal     --  its arguments follow
  -f  stay in the foreground     -T  transparent = source       -n  protocol
  -p  certificate and key        -A  CAfile    -a  CApath       -v  verify, 0 to 4
  -C  ciphers                    -t  session timeout            -I  local address
  -s  setuid    -g  setgid       -P  pid file                   -u  ident
  -D  debug     -o  log file     -N  service's name             -O  socket option
  -R  RNDfile   -B  RNDbytes     -W  overwrite RNDfile          -E  EGD (refused)

examples:
  gtunnel3 -p /etc/stunnel.pem -d 9002 -r 25
  gtunnel3 -c -d 1000 -r 192.168.77.1:9002
  gtunnel3 -p /etc/stunnel.pem -d 993 -l /usr/sbin/imapd -- -v
"""


def entry() -> NoReturn:
    """The console script."""
    command.finish(main)


def main(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    return command.guarded(run, arguments)


def run(arguments: list[str]) -> int:
    """Run a command line. Raises `UsageError`."""
    if arguments in (["--help"], ["--version"]):
        sys.stdout.write(USAGE if arguments == ["--help"] else f"gtunnel {VERSION}\n")
        return 0
    if not arguments:
        sys.stderr.write(USAGE)
        return 1
    from gtunnel.cli import classic

    lines = configuration(arguments)
    return classic.run_source(Source(NAME, lambda: load(lines)))


def load(lines: Sequence[tuple[str, str]]) -> Configuration:
    """Read what `configuration` made. Raises `ConfigError`, whose problems name the letters."""
    try:
        return parse_text("".join(f"{line}\n" for _, line in lines), NAME)
    except ConfigError as error:
        raise ConfigError(tuple(_placed(problem, lines) for problem in error.problems)) from error


def _placed(problem: Problem, lines: Sequence[tuple[str, str]]) -> Problem:
    letter = lines[problem.place.line - 1][0] if 0 < problem.place.line <= len(lines) else ""
    place = Place(f"option -{letter}", 0) if letter else Place(NAME, 0)
    return replace(problem, place=place)


def configuration(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """The lines of a configuration, each with the letter that it comes from. Raises `UsageError`."""
    given, rest = _parsed(arguments)
    lines = [(letter, line) for letter, line in FLAGS.items() if letter in given]
    lines += [(letter, f"{option} = {given[letter]}") for letter, option in VALUES.items() if letter in given]
    runs = "L" if "L" in given else "l" if "l" in given else ""
    if runs == "L":
        lines.append(("L", "pty = yes"))
    if runs:
        lines.append((runs, f"exec = {given[runs]}"))
        lines.append((runs, f"execArgs = {' '.join((given[runs], *rest))}"))
    elif rest:
        raise UsageError(detail=f"{rest[0]!r} belongs to no option (see gtunnel3 --help)")
    if "d" in given:
        lines.append(("d", f"[{SECTION}]"))
    return lines


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Letters with their values, and what comes after the options, as getopt(3) takes them apart: letters may stand
    together, and a value right after its letter or in the next argument. Of two the last counts."""
    given: dict[str, str] = {}
    left = list(arguments)
    while left and left[0].startswith("-") and left[0] != "-":
        word = left.pop(0)
        if word == "--":
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in FLAGS:
                given[letter] = ""
                continue
            if letter not in VALUES and letter not in ("l", "L"):
                raise UsageError(detail=f"there is no option -{letter} (see gtunnel3 --help)")
            if not letters and not left:
                raise UsageError(detail=f"option -{letter} needs a value (see gtunnel3 --help)")
            given[letter] = _line(letters or left.pop(0), letter)
            letters = ""
    return given, [_line(argument, "-") for argument in left]


def _line(value: str, letter: str) -> str:
    """A value as it stands in a line."""
    if "\n" in value:
        raise UsageError(detail=f"option -{letter}: a value is one line")
    return value
