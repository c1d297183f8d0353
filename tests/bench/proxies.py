"""gtunnel and the programs that it is measured beside, each with the same certificate, ports and number of workers."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.ports import wait_for_port
from tests.support.tunnels import ROOT

_START_SECONDS = 20.0
_GTUNNEL = "import sys; sys.argv[0] = 'gtunnel'; from gtunnel.cli.main import entry; entry()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a proxy is to do. `client`: plain in, TLS out; else TLS in, plain out. `pem`: certificate and key in one."""

    client: bool
    workers: int
    listen: int
    backend: int
    pem: Path
    directory: Path


@dataclass(frozen=True, slots=True)
class Proxy:
    """One of them. `configure` writes its configuration and returns its command line; None: it cannot do that."""

    name: str
    configure: Callable[[Setup], list[str] | None]

    @contextmanager
    def running(self, setup: Setup, *, pinned: bool = False) -> Iterator[int]:
        """It accepts connections while the context lasts; its process id. `pinned`: on the first processor only."""
        with self.launched(setup, pinned=pinned) as pid:
            try:
                wait_for_port(setup.listen, timeout=_START_SECONDS)
            except AssertionError:
                sys.stderr.write(self._log(setup).read_text())
                raise
            yield pid

    @contextmanager
    def launched(self, setup: Setup, *, pinned: bool = False) -> Iterator[int]:
        """The same, not waiting for anything. At the end it has some seconds to end, and is killed then."""
        argv = self.configure(setup)
        assert argv is not None, f"{self.name} cannot do that"
        if pinned:
            argv = ["taskset", "-c", "0", *argv]
        with (
            self._log(setup).open("w") as log,
            subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT) as process,
        ):
            try:
                yield process.pid
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
                process.kill()

    def _log(self, setup: Setup) -> Path:
        return setup.directory / f"{self.name}.log"


def _written(setup: Setup, name: str, text: str) -> str:
    path = setup.directory / name
    path.write_text(text)
    return str(path)


def _section(setup: Setup, name: str = "bench") -> str:
    side = "client = yes\n" if setup.client else f"cert = {setup.pem}\n"
    return f"[{name}]\naccept = 127.0.0.1:{setup.listen}\nconnect = 127.0.0.1:{setup.backend}\n{side}"


def gtunnel(*others: Setup) -> Proxy:
    """gtunnel, with services for these as well as for the one that it is started with."""
    return Proxy("gtunnel", partial(_gtunnel, others=others))


def _gtunnel(setup: Setup, others: Sequence[Setup] = ()) -> list[str]:
    head = f"foreground = yes\nsyslog = no\ndebug = warning\npid =\nworkers = {setup.workers}\n"
    sections = [_section(one, f"bench-{number}") for number, one in enumerate((setup, *others))]
    conf = _written(setup, "gtunnel.conf", head + "".join(sections))
    return [sys.executable, "-c", _GTUNNEL, conf]


def _stunnel(setup: Setup) -> list[str]:
    head = "foreground = yes\nsyslog = no\ndebug = warning\npid =\n"
    return ["stunnel4", _written(setup, "stunnel.conf", head + _section(setup))]


def _haproxy(setup: Setup) -> list[str]:
    into = f"bind 127.0.0.1:{setup.listen}" + ("" if setup.client else f" ssl crt {setup.pem}")
    onward = f"server s 127.0.0.1:{setup.backend}" + (" ssl verify none" if setup.client else "")
    text = (
        f"global\n  nbthread {setup.workers}\n  maxconn 8000\n"
        "defaults\n  mode tcp\n  timeout client 1h\n  timeout server 1h\n  timeout connect 10s\n"
        f"frontend f\n  {into}\n  default_backend b\nbackend b\n  {onward}\n"
    )
    return ["haproxy", "-f", _written(setup, "haproxy.cfg", text)]


def _hitch(setup: Setup) -> list[str] | None:
    if setup.client:
        return None
    where = [f"--frontend=[127.0.0.1]:{setup.listen}", f"--backend=[127.0.0.1]:{setup.backend}"]
    return ["hitch", *where, f"--workers={setup.workers}", "--user=nobody", "--quiet", "--alpn-protos=", str(setup.pem)]


def _nginx(setup: Setup) -> list[str]:
    versions = "ssl_protocols TLSv1.2 TLSv1.3;"
    tls = f"ssl_certificate {setup.pem}; ssl_certificate_key {setup.pem}; {versions}"
    if setup.client:
        tls = f"proxy_ssl on; proxy_{versions}"
    listen = "" if setup.client else " ssl"
    text = (
        f"daemon off; pid {setup.directory}/nginx.pid; error_log {setup.directory}/nginx-error.log warn;\n"
        f"load_module /usr/lib/nginx/modules/ngx_stream_module.so; worker_processes {setup.workers};\n"
        "events { worker_connections 20000; }\n"
        f"stream {{ server {{ listen 127.0.0.1:{setup.listen}{listen}; {tls} proxy_pass 127.0.0.1:{setup.backend};"
        " proxy_timeout 1h; } }\n"
    )
    return ["nginx", "-p", str(setup.directory), "-c", _written(setup, "nginx.conf", text)]


def _floor(setup: Setup) -> list[str] | None:
    if setup.workers > 1:
        return None
    pem = [] if setup.client else [str(setup.pem)]
    return [sys.executable, "-m", "tests.bench.floor", str(setup.listen), str(setup.backend), *pem]


# Measured where it is asked for by name.
FLOOR = "floor"

_KNOWN = {
    "gtunnel": (_gtunnel, None),
    "stunnel4": (_stunnel, "stunnel4"),
    "haproxy": (_haproxy, "haproxy"),
    "hitch": (_hitch, "hitch"),
    "nginx": (_nginx, "nginx"),
    FLOOR: (_floor, None),
}


def available() -> tuple[Proxy, ...]:
    """Those whose programs are installed."""
    return tuple(
        Proxy(name, configure)
        for name, (configure, program) in _KNOWN.items()
        if program is None or shutil.which(program) is not None
    )
