"""What starts a program for each connection: inetd, systemd's socket activation, socat. Each in the foreground."""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support import needs, ports
from tests.support.daemon import Daemon

Superserver = Callable[[Path, Sequence[str], int], Daemon]


def _program(directory: Path, argv: Sequence[str]) -> Path:
    """The command line as one program: superservers differ in what they make of arguments and of the environment."""
    script = directory / "served"
    # inetd takes most of the environment away.
    kept = "".join(f"export {name}={shlex.quote(os.environ[name])}\n" for name in ("PATH",) if name in os.environ)
    script.write_text(f"#!/bin/sh\n{kept}exec {shlex.join(argv)}\n")
    script.chmod(0o755)
    return script


def inetd(directory: Path, argv: Sequence[str], port: int) -> Daemon:
    """openbsd-inetd: the socket as standard input, output and error."""
    script = _program(directory, argv)
    file = directory / "inetd.conf"
    user = "root" if needs.is_root() else str(os.getuid())
    file.write_text(f"127.0.0.1:{port} stream tcp nowait {user} {script} served\n")
    return _ready(Daemon([needs.program("inetd"), "-i", file]), port)


def systemd(directory: Path, argv: Sequence[str], port: int) -> Daemon:
    """systemd-socket-activate: the socket as standard input and output."""
    command = [needs.program("systemd-socket-activate"), "--inetd", "-a", "-l", f"127.0.0.1:{port}"]
    daemon = Daemon([*command, _program(directory, argv)])
    daemon.wait_for("Listening on")
    return daemon


def socat(directory: Path, argv: Sequence[str], port: int) -> Daemon:
    """socat EXEC: one end of a pair of Unix sockets as standard input and output."""
    return _socat(directory, argv, port, "")


def socat_pipes(directory: Path, argv: Sequence[str], port: int) -> Daemon:
    """socat EXEC with pipes: two of them."""
    return _socat(directory, argv, port, ",pipes")


def _socat(directory: Path, argv: Sequence[str], port: int, options: str) -> Daemon:
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
    # -t: how long it goes on after one direction has ended, half a second if nobody says so.
    command = [needs.program("socat"), "-t", "5", listen, f"EXEC:{_program(directory, argv)}{options}"]
    return _ready(Daemon(command), port)


def _ready(daemon: Daemon, port: int) -> Daemon:
    ports.wait_for_listener(port)
    return daemon


ALL: tuple[Superserver, ...] = (inetd, systemd, socat, socat_pipes)
