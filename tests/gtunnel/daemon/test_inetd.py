"""inetd mode, as the process that starts us sees it: descriptors in, exit status out."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.servers import Server
from tests.support.tls import TlsPeer, client_context
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT

ENVIRONMENT = {**os.environ, **GTUNNEL_ENVIRONMENT}


class Inetd:
    """Starts gtunnel with a connection, as inetd(8) does: the socket three times."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.log = directory / "log"

    def __call__(self, conf: str, connection: socket.socket, **other: object) -> "subprocess.Popen[bytes]":
        file = self._directory / "inetd.conf"
        file.write_text(f"syslog = no\noutput = {self.log}\ndebug = debug\n{conf}")
        usual: dict[str, object] = {"stdin": connection, "stdout": connection, "stderr": connection}
        process = subprocess.Popen([*GTUNNEL, str(file)], env=ENVIRONMENT, **{**usual, **other})  # type: ignore[call-overload]
        connection.close()
        return process  # type: ignore[no-any-return]


@pytest.fixture
def inetd(tmp_path: Path) -> Inetd:
    return Inetd(tmp_path)


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
        near, _ = listener.accept()
    return far, near


def test_a_server_with_a_program(inetd: Inetd, pki: Pki) -> None:
    far, near = connected()
    port = far.getsockname()[1]
    process = inetd(f"cert = {pki.server.pem}\nexec = /bin/sh\nexecArgs = sh -c echo$IFS$REMOTE_PORT;cat", near)
    with TlsPeer(far, client_context(str(pki.ca)), server_hostname="localhost") as peer:
        peer.send(b"hello")
        peer.close_notify()
        assert peer.receive_all() == f"{port}\nhello".encode()
    assert process.wait(PATIENCE) == 0
    assert f"Service [stunnel] accepted connection from 127.0.0.1:{port}" in inetd.log.read_text()


def test_a_client(inetd: Inetd, pki: Pki, server: Callable[..., Server]) -> None:
    from tests.support import tls

    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    far, near = connected()
    process = inetd(f"client = yes\nconnect = {backend.endpoint}\nCAfile = {pki.ca}\nverifyChain = yes", near)
    with far:
        far.sendall(b"hello")
        far.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: far.recv(100), b"")) == b"hello"
    assert process.wait(PATIENCE) == 0


def test_a_bad_configuration_is_not_told_to_the_client(inetd: Inetd) -> None:
    far, near = connected()
    process = inetd("foo = bar", near)
    with far:
        assert far.recv(100) == b""
    assert process.wait(PATIENCE) == 1


def test_a_bad_configuration_is_told_on_a_standard_error_of_its_own(inetd: Inetd) -> None:
    far, near = connected()
    process = inetd("foo = bar", near, stderr=subprocess.PIPE)
    with far:
        assert far.recv(100) == b""
    _, said = process.communicate(timeout=PATIENCE)
    assert b"Specified option name is not valid here" in said
    assert process.returncode == 1


@pytest.mark.parametrize("aloud", [True, False])
def test_the_log_never_goes_into_the_connection(inetd: Inetd, free_port: Callable[[], int], *, aloud: bool) -> None:
    far, near = connected()
    other = {"stderr": subprocess.PIPE} if aloud else {}
    process = inetd(f"foreground = yes\nclient = yes\nconnect = {free_port()}\nreset = no", near, **other)
    with far:
        assert far.recv(1000) == b""
    _, said = process.communicate(timeout=PATIENCE)
    # As with stunnel it is no failure of ours that there is nobody.
    assert process.returncode == 0
    assert (said is not None and b"No more addresses to connect" in said) is aloud


def test_pipes_are_as_good_as_a_socket(inetd: Inetd, pki: Pki) -> None:
    unused, near = connected()
    process = inetd(
        f"cert = {pki.server.pem}\nexec = /bin/cat", near, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    unused.close()
    ours, theirs = socket.socketpair()
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    def there() -> None:
        while data := theirs.recv(65536):
            stdin.write(data)
            stdin.flush()
        stdin.close()

    def back() -> None:
        while data := os.read(stdout.fileno(), 65536):
            theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=there), threading.Thread(target=back)]
    for thread in threads:
        thread.start()
    with TlsPeer(ours, client_context(str(pki.ca)), server_hostname="localhost") as peer:
        peer.send(b"x" * 300_000)
        peer.close_notify()
        assert peer.receive_all() == b"x" * 300_000
    assert process.wait(PATIENCE) == 0
    for thread in threads:
        thread.join(PATIENCE)
    theirs.close()
    stdout.close()


def test_who_is_told_to_stop_takes_the_program_along(inetd: Inetd, pki: Pki) -> None:
    far, near = connected()
    process = inetd(f"cert = {pki.server.pem}\nexec = /bin/sh\nexecArgs = sh -c echo$IFS$$;exec$IFS/bin/cat", near)
    with TlsPeer(far, client_context(str(pki.ca)), server_hostname="localhost") as peer:
        program = int(peer.receive())
        assert Path(f"/proc/{program}/exe").exists()
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert not Path(f"/proc/{program}/exe").exists()


def test_no_pid_file_is_made(inetd: Inetd, pki: Pki, tmp_path: Path) -> None:
    far, near = connected()
    process = inetd(f"pid = {tmp_path}/pid\ncert = {pki.server.pem}\nexec = /bin/cat", near)
    with TlsPeer(far, client_context(str(pki.ca)), server_hostname="localhost"):
        assert not (tmp_path / "pid").exists()
    assert process.wait(PATIENCE) == 0


@pytest.mark.root
def test_in_a_jail_as_somebody_else(pki: Pki, tmp_path: Path) -> None:
    """What Python loads at first use cannot be found there."""
    program = '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d", (int)getuid()); return 0; }'
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    with tempfile.TemporaryDirectory() as name:
        jail = Path(name)
        jail.chmod(0o755)
        subprocess.run(["cc", "-static", "-x", "c", "-", "-o", jail / "who"], input=program, text=True, check=True)
        file = tmp_path / "jail.conf"
        file.write_text(
            f"syslog = no\ncert = {pki.server.pem}\nexec = /who\nchroot = {jail}\nsetuid = nobody\nsetgid = nogroup\n"
        )
        far, near = connected()
        number = near.fileno()
        process = subprocess.Popen([*GTUNNEL, str(file)], env=ENVIRONMENT, stdin=number, stdout=number, stderr=number)
        near.close()
        with TlsPeer(far, client_context(str(pki.ca)), server_hostname="localhost") as peer:
            assert peer.receive_all() == str(pwd.getpwnam("nobody").pw_uid).encode()
            peer.close_notify()
        assert process.wait(PATIENCE) == 0
