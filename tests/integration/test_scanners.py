"""What scanners have against a server with the default configuration, and what they have against stunnel4 with the same
certificate. Both scan nothing but loopback. docs/tls-scan.md has the outcome.
"""

import contextlib
import json
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gtunnel.tls.openssl import native
from tests.conftest import KINDS
from tests.support import needs, ports
from tests.support.certificates import Identity, Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PREAMBLE = "foreground = yes\npid =\nsyslog = no\ndebug = info\n"
# testssl is a shell script that starts thousands of programs: a minute on an idle machine.
PATIENCE = 900.0

Finding = tuple[str, ...]

# Of testssl's severities.
HARMLESS = {"OK", "INFO"}
# What it has against stunnel4 only: that lets clients choose.
ONLY_THEIRS = {"cipher_order"}


def page(connection: socket.socket) -> None:
    """A web server's answer: scanners ask for one, or leave."""
    with contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n")


@pytest.fixture(scope="module", params=["RSA", "ECDSA"])
def identity(request: pytest.FixtureRequest, pki: Pki) -> Identity:
    """The certificate."""
    return pki.server_rsa if request.param == "RSA" else pki.server


@pytest.fixture(scope="module")
def served(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """The ports of both programs."""
    needs.program("stunnel4")
    numbers = {kind: ports.free_port() for kind in KINDS}
    running = []
    with Server(page) as backend:
        for kind, port in numbers.items():
            tunnels = Tunnels(kind, tmp_path_factory.mktemp(kind))
            running.append(tunnels)
            service = f"[it]\naccept = 127.0.0.1:{port}\nconnect = {backend.endpoint}\ncert = {identity.pem}\n"
            tunnels(service, preamble=PREAMBLE)
        yield numbers
        for tunnels in running:
            tunnels.close()


def both(scan: Callable[[int], set[Finding]], served: Mapping[str, int]) -> tuple[set[Finding], set[Finding]]:
    """What a scanner finds with gtunnel, and with stunnel4."""
    with ThreadPoolExecutor(len(KINDS)) as pool:
        ours, theirs = pool.map(scan, (served[kind] for kind in KINDS))
    return ours, theirs


def sslscan(port: int) -> ElementTree.Element:
    """What sslscan writes about a server."""
    argv = [needs.program("sslscan"), "--xml=-", "--no-check-certificate", f"127.0.0.1:{port}"]
    done = subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=True)
    found = ElementTree.fromstring(done.stdout).find("ssltest")  # noqa: S314 - of our own program
    assert found is not None, done.stdout
    return found


def flaws(test: ElementTree.Element) -> set[Finding]:
    """What sslscan has against a server: all that it offers, as each of it may be weak."""
    found: set[Finding] = set()
    for element in test:
        has = element.attrib
        if element.tag == "protocol" and has["enabled"] != "0":
            found.add(("protocol", has["type"], has["version"]))
        elif element.tag == "cipher":
            found.add(("cipher", has["sslversion"], has["cipher"], has["strength"]))
        elif element.tag == "group":
            found.add(("group", has["sslversion"], has["name"]))
        elif element.tag == "renegotiation" and (has["supported"], has["secure"]) == ("1", "0"):
            found.add(("insecure renegotiation",))
        elif element.tag == "heartbleed" and has["vulnerable"] != "0":
            found.add(("heartbleed", has["sslversion"]))
        elif element.tag in {"compression", "fallback"}:
            found.add((element.tag, has["supported"]))
    return found


def test_sslscan_finds_nothing_that_it_does_not_find_with_stunnel(served: Mapping[str, int]) -> None:
    ours, theirs = both(lambda port: flaws(sslscan(port)), served)
    assert ("protocol", "tls", "1.3") in ours
    assert any(what[0] == "cipher" for what in ours)
    assert ours <= theirs
    # With the same OpenSSL, every client of stunnel finds what it had.
    assert not native.SHARED or ours == theirs


@pytest.mark.skipif(not native.SHARED, reason="stunnel4 has the other OpenSSL: with the distribution's packages")
def test_testssl_finds_nothing_that_it_does_not_find_with_stunnel(served: Mapping[str, int], tmp_path: Path) -> None:
    def scan(port: int) -> set[Finding]:
        file = tmp_path / f"{port}.json"
        # No names are resolved and nobody else is asked, and nothing is waited for.
        quiet = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]
        argv = [needs.program("testssl"), *quiet, "--fast", "-p", "-s", "-P", "-S", "-U", "--jsonfile", str(file)]
        done = subprocess.run(
            [*argv, f"localhost:{port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            cwd=tmp_path,
        )
        found = json.loads(file.read_text())
        assert any(entry["id"] == "TLS1_3" for entry in found), done.stdout.decode(errors="replace")
        return {
            (entry["id"], entry["severity"])
            for entry in found
            # Whether a session can be resumed it cannot always tell; that it warns of, with either program.
            if entry["severity"] not in HARMLESS and not entry["id"].startswith("sessionresumption")
        }

    ours, theirs = both(scan, served)
    assert ours <= theirs
    assert {name for name, _ in theirs - ours} >= ONLY_THEIRS
