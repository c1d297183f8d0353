"""HTTP proxies as processes of the test: squid and tinyproxy, on a loopback port, each in a directory of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import needs
from tests.support.daemon import Daemon
from tests.support.ports import wait_for_port

_LIBRARY = Path("/usr/lib/squid")
# Whom squid becomes if root starts it (Debian).
_USER = "proxy"
_ACCESS_LOG = "access.log"


@contextmanager
def squid(port: int, *, password: str | None = None, ntlm: bool = False) -> Iterator[Path]:
    """squid that lets CONNECT through to everywhere. With `password` for the user "me"; with `ntlm` for anybody who
    speaks it. Its access log is at the path."""
    # Not in the test's own directory, which squid's user cannot get at.
    directory = Path(tempfile.mkdtemp(prefix="gtunnel-squid-"))
    try:
        conf = directory / "squid.conf"
        conf.write_text("\n".join(_squid_lines(directory, port, password, ntlm=ntlm)) + "\n")
        if needs.is_root():
            shutil.chown(directory, _USER)
            directory.chmod(0o755)
        # Its name is that of its shared memory, too: several may run at once.
        name = f"gtunnel{port}"
        daemon = _served(Daemon([needs.program("squid"), "-N", "-n", name, "-f", conf]), port)
        try:
            yield directory / _ACCESS_LOG
        finally:
            daemon.kill()
            for left in Path("/dev/shm").glob(f"{name}-*"):
                left.unlink()
    finally:
        shutil.rmtree(directory)


def _squid_lines(directory: Path, port: int, password: str | None, *, ntlm: bool) -> list[str]:
    lines = [
        f"http_port 127.0.0.1:{port}",
        f"pid_filename {directory}/pid",
        f"cache_log stdio:{directory}/cache.log",
        f"access_log stdio:{directory}/{_ACCESS_LOG}",
        f"coredump_dir {directory}",
        *("cache_mem 8 MB", "shutdown_lifetime 0 seconds", "pinger_enable off", "visible_hostname test"),
    ]
    if password is not None:
        helper = directory / "check"
        answer = f'[ "$line" = "me {password}" ] && echo OK || echo ERR'
        helper.write_text(f"#!/bin/sh\nwhile read line; do {answer}; done\n")
        helper.chmod(0o755)
        lines += [f"auth_param basic program {helper}", "auth_param basic children 1 startup=1 idle=1"]
    if ntlm:
        program = _LIBRARY / "ntlm_fake_auth"
        lines += [f"auth_param ntlm program {program} -v", "auth_param ntlm children 1 startup=1 idle=1"]
    if password is not None or ntlm:
        lines += ["acl known proxy_auth REQUIRED", "http_access deny !known"]
    return [*lines, "http_access allow all"]


@contextmanager
def tinyproxy(port: int, *, password: str | None = None) -> Iterator[Daemon]:
    """tinyproxy, with `password` for the user "me"."""
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 20", "LogLevel Connect"]
    if password is not None:
        lines.append(f"BasicAuth me {password}")
    with tempfile.TemporaryDirectory() as directory:
        conf = Path(directory, "tinyproxy.conf")
        conf.write_text("\n".join(lines) + "\n")
        daemon = _served(Daemon([needs.program("tinyproxy"), "-d", "-c", conf]), port)
        try:
            yield daemon
        finally:
            daemon.kill()


def _served(daemon: Daemon, port: int) -> Daemon:
    try:
        wait_for_port(port)
    except BaseException:
        daemon.kill()
        raise
    return daemon
