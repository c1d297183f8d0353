"""`reloadCerts = yes`: changed files are taken up without a signal, completely or not at all."""

import contextlib
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.support import peers, tls
from tests.support.certificates import Authority, Identity, Pki, Wish
from tests.support.daemon import PATIENCE
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]

NOTICED = "Files have changed: "
IN_USE = "Changed files are in use now"
KEPT = "What has been loaded before stays in use, until the files change again"
# A change has to be seen twice, and new workers have to come up, on a machine that may be busy.
LONG = 3 * PATIENCE


class Site:
    """A certificate and its key where a service has them, and others to put in their place."""

    def __init__(self, pki: Pki, directory: Path) -> None:
        self.pki = pki
        self.cert, self.key = directory / "tls.crt", directory / "tls.key"
        self.put(self.new())

    def new(self) -> Identity:
        """Another certificate of the same name."""
        return self.pki.authority.issue(Wish(name="localhost", dns=["localhost"], ips=["127.0.0.1"]))

    def put(self, identity: Identity, *, cert: bool = True, key: bool = True) -> Identity:
        """Put it in place, each file by a rename, as whoever does it well."""
        for wanted, source, target in ((key, identity.key, self.key), (cert, identity.cert, self.cert)):
            if wanted:
                new = target.with_suffix(".new")
                shutil.copy(source, new)
                new.rename(target)
        return identity

    @property
    def lines(self) -> str:
        """The service's lines."""
        return f"cert = {self.cert}\nkey = {self.key}\n"


@pytest.fixture
def site(pki: Pki, tmp_path: Path) -> Site:
    directory = tmp_path / "site"
    directory.mkdir()
    return Site(pki, directory)


def presented(port: int, pki: Pki) -> x509.Certificate:
    """The certificate that a service shows; the connection carries data."""
    with tls.connect(port, tls.client_context(str(pki.ca))) as peer:
        peer.send(b"x")
        assert peer.receive(1) == b"x"
        der = peer.tls.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)


def becomes(port: int, pki: Pki, identity: Identity) -> bool:
    """Whether a service comes to show a certificate: old workers may take a last connection before they hear of it."""
    return _soon(lambda: presented(port, pki) == identity.certificate)


def test_a_certificate_is_replaced_under_load(
    gtunnel: Tunnels, echo: Server, pki: Pki, site: Site, free_port: PortFactory
) -> None:
    port = free_port()
    running = gtunnel(
        f"reloadCerts = yes\nworkers = 2\n[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n{site.lines}"
    )
    stop, problems, seen = threading.Event(), [], set()

    def visit() -> None:
        while not stop.is_set():
            try:
                seen.add(presented(port, pki).serial_number)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the test fails
                problems.append(problem)

    with tls.connect(port, tls.client_context(str(pki.ca))) as lasting:
        visitors = [threading.Thread(target=visit) for _ in range(3)]
        for visitor in visitors:
            visitor.start()
        try:
            for times in (1, 2):
                new = site.put(site.new())
                running.wait_for(IN_USE, times=times, timeout=LONG)
                assert becomes(port, pki, new)
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join()
        assert problems == []
        assert len(seen) >= 2
        lasting.send(b"still")
        assert lasting.receive_exactly(5) == b"still"
    assert running.count("Reading configuration") == 1


def test_what_is_broken_or_half_done_keeps_the_old_until_it_is_repaired(
    gtunnel: Tunnels, echo: Server, pki: Pki, site: Site, free_port: PortFactory
) -> None:
    port = free_port()
    old = site.put(site.new())
    running = gtunnel(f"reloadCerts = yes\n[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n{site.lines}")
    # The certificate first: the key does not belong to it yet.
    new = site.put(site.new(), key=False)
    running.wait_for(KEPT, timeout=LONG)
    assert running.count(f'"key = {site.key}": Service [it]: ') == 1
    assert presented(port, pki) == old.certificate
    site.put(new, cert=False)
    running.wait_for(IN_USE, timeout=LONG)
    assert becomes(port, pki, new)
    # Half a file.
    site.cert.write_bytes(new.cert.read_bytes()[:300])
    running.wait_for(KEPT, times=2, timeout=LONG)
    assert presented(port, pki) == new.certificate
    newer = site.put(site.new())
    running.wait_for(IN_USE, times=2, timeout=LONG)
    assert becomes(port, pki, newer)


def test_links_lists_and_secrets_are_followed_too(
    tmp_path: Path, echo: Server, pki: Pki, free_port: PortFactory
) -> None:
    """A link that is turned (certbot), a revocation list that names somebody, a key with a passphrase."""
    authority = Authority(tmp_path, "ours")
    alice = authority.issue(Wish(name="alice", client=True))
    lists, live = tmp_path / "lists.pem", tmp_path / "live"
    lists.write_bytes(authority.revocations())
    first, second = (_archived(pki, tmp_path / name) for name in ("archive1", "archive2"))
    live.symlink_to("archive1")
    port = free_port()
    conf = tmp_path / "it.conf"
    log = tmp_path / "it.log"
    conf.write_text(
        f"foreground = quiet\npid =\nsyslog = no\ndebug = info\noutput = {log}\nreloadCerts = yes\nworkers = 1\n"
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {live}/tls.crt\nkey = {live}/tls.key\n"
        f"verifyChain = yes\nCAfile = {authority.ca_file}\nCRLfile = {lists}\n"
    )
    tunnels = Tunnels("gtunnel", tmp_path)
    argv = [str(argument) for argument in tunnels.argv(conf)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    # In a session of its own it has no terminal, and takes the passphrase from its standard input.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(b"correct horse\n")
            process.stdin.close()
            until = partial(_until, log, process)
            until("Accepting new connections", 1)
            assert _meets(port, alice) == first.serial_number
            (tmp_path / "turned").symlink_to("archive2")
            (tmp_path / "turned").rename(live)
            until(IN_USE, 1)
            assert _soon(lambda: _meets(port, alice) == second.serial_number)
            lists.write_bytes(authority.revocations(alice.certificate))
            until(IN_USE, 2)
            assert _soon(lambda: _meets(port, alice) is None)
            until("certificate revoked", 1)
            assert "horse" not in log.read_text()
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _archived(pki: Pki, directory: Path) -> x509.Certificate:
    """A certificate and its key, which has a passphrase, in a directory."""
    directory.mkdir()
    made = pki.authority.issue(Wish(name="localhost", dns=["localhost"]))
    shutil.copy(made.cert, directory / "tls.crt")
    key = serialization.load_pem_private_key(made.key.read_bytes(), None)
    (directory / "tls.key").touch(mode=0o600)
    (directory / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"correct horse"),
        )
    )
    return made.certificate


def _until(log: Path, process: "subprocess.Popen[bytes]", text: str, times: int) -> None:
    """Wait until so many lines of the log have the text."""
    for _ in range(int(LONG * 20)):
        if log.exists() and sum(text in line for line in log.read_text().splitlines()) >= times:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError(f"{text!r} x {times}:\n{log.read_text() if log.exists() else process.stderr}")


def _soon(condition: Callable[[], bool]) -> bool:
    """Whether something comes to be so, now that old workers have been told to take no more connections."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
    return True


def _meets(port: int, who: Identity) -> int | None:
    """The serial number of the certificate that `who` is shown; None if the connection does not come to anything."""
    try:
        with tls.connect(port, tls.client_context(identity=who)) as peer:
            peer.send(b"x")
            der = peer.tls.getpeercert(binary_form=True)
            assert der is not None
            return x509.load_der_x509_certificate(der).serial_number if peer.receive(1) == b"x" else None
    except (ssl.SSLError, OSError, tls.TruncatedError):
        return None


def test_new_shared_keys_are_good_and_old_ones_are_not(
    gtunnel: Tunnels, echo: Server, tmp_path: Path, free_port: PortFactory
) -> None:
    port = free_port()
    secrets = tmp_path / "psk"
    secrets.touch(mode=0o600)
    secrets.write_text(f"alice:{'0a' * 32}\n")
    running = gtunnel(
        f"reloadCerts = yes\n[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\nPSKsecrets = {secrets}\n"
    )
    assert _agrees(port, "0a" * 32)
    secrets.write_text(f"alice:{'0b' * 32}\n")
    running.wait_for(IN_USE, timeout=LONG)
    assert _soon(lambda: _agrees(port, "0b" * 32))
    assert not _agrees(port, "0a" * 32)


def _agrees(port: int, key: str) -> bool:
    """Whether a client with this key comes to speak with a service."""
    options = ("-psk_identity", "alice", "-psk", key, "-tls1_2", "-cipher", "PSK", "-no_ign_eof")
    met = peers.s_client(port, *options)
    # It names the cipher of a handshake that failed, too.
    return met.returncode == 0 and b"alert" not in met.stderr and b"PSK" in met.stdout
