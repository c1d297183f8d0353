"""Programs that a tunnel meets in real life: nginx, haproxy, openssl. Own configuration, own directory, foreground."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support import needs
from tests.support.certificates import Identity
from tests.support.daemon import PATIENCE, Daemon, Launch
from tests.support.ports import wait_for_port

_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def nginx(directory: Path, *, http: str = "", stream: str = "", launch: Launch = subprocess.Popen) -> Daemon:
    """Run nginx with these `http` and `stream` blocks' contents; returns when it listens."""
    program = needs.program("nginx")
    directory.mkdir(parents=True, exist_ok=True)
    temporary = "".join(
        f"  {kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    module = f"load_module {_STREAM_MODULE};\n" if stream and _STREAM_MODULE.exists() else ""
    # Root's workers would become nobody, who may not read this directory.
    user = "user root;\n" if needs.is_root() else ""
    conf = (
        f"{module}{user}daemon off;\nworker_processes 1;\npid {directory}/pid;\nerror_log stderr notice;\n"
        "events { worker_connections 256; }\n"
        + (f"http {{\n  access_log off;\n{temporary}{http}\n}}\n" if http else "")
        + (f"stream {{\n{stream}\n}}\n" if stream else "")
    )
    path = directory / "nginx.conf"
    path.write_text(conf)
    daemon = Daemon([program, "-c", path, "-p", directory, "-e", "stderr"], launch=launch)
    return _ready(daemon, "start worker process ")


def haproxy(directory: Path, conf: str, ports: Sequence[int]) -> Daemon:
    """Run haproxy with this configuration (`frontend`, `backend`, `listen`); returns when it serves `ports`."""
    program = needs.program("haproxy")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "haproxy.conf"
    timeouts = "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
    path.write_text(f"global\n  maxconn 200\n{timeouts}{conf}\n")
    daemon = Daemon([program, "-db", "-f", path])
    try:
        for port in ports:
            wait_for_port(port)
    except BaseException:
        daemon.kill()
        raise
    return daemon


def s_server(identity: Identity, port: int, *options: str, launch: Launch = subprocess.Popen) -> Daemon:
    """Run `openssl s_server`; what it receives is in its `output`. With "-rev" it sends each line back reversed,
    with "-www" it answers HTTP.
    """
    files = ["-cert", str(identity.cert), "-key", str(identity.key)]
    argv = [needs.program("openssl"), "s_server", "-accept", str(port), *files, *options]
    return _ready(Daemon(argv, launch=launch), "ACCEPT")


def s_client(
    port: int, *options: str, send: bytes = b"", host: str = "127.0.0.1", timeout: float = PATIENCE
) -> "subprocess.CompletedProcess[bytes]":
    """Run `openssl s_client` to its end: it sends `send`, then reads until the other side closes ("-ign_eof").

    Leave "-ign_eof" to it only where the other side does close.
    """
    argv = [needs.program("openssl"), "s_client", "-connect", f"{host}:{port}", "-ign_eof", *options]
    return subprocess.run(argv, input=send, capture_output=True, timeout=timeout, check=False)


def curl(*arguments: str, timeout: float = PATIENCE, through_proxy: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run curl, without its own configuration and any proxy, unless the arguments name one."""
    without = "" if through_proxy else "*"
    argv = [needs.program("curl"), "-q", "-sS", "--noproxy", without, "--max-time", str(timeout), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout + 5, check=False)


def _ready(daemon: Daemon, text: str) -> Daemon:
    try:
        daemon.wait_for(text)
    except BaseException:
        daemon.kill()
        raise
    return daemon
