"""What a service presents, as openssl and each other see it: the same files with gtunnel and with stunnel4.

And keys with passphrases: asked for before the process detaches, kept for reloads, and found nowhere else.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.support import needs, peers, ports
from tests.support.certificates import Authority, Identity, Pki, Wish
from tests.support.daemon import PATIENCE
from tests.support.servers import Server
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, Tunnels

PortFactory = Callable[[], int]

PHRASE = "correct horse"
DHE = "ciphers = DHE-RSA-AES256-GCM-SHA384\nsslVersionMax = TLSv1.2\n"


def openssl(*arguments: object) -> None:
    """Run openssl(1)."""
    subprocess.run([needs.program("openssl"), *map(str, arguments)], check=True, capture_output=True)


@dataclass(frozen=True)
class Case:
    """A service's lines, and what `openssl s_client` says of what it meets."""

    name: str
    lines: str
    says: str


CASES = (
    Case("RSA", "cert = {rsa.cert}\nkey = {rsa.key}\n", "rsa"),
    Case("both in one file", "cert = {rsa.pem}\n", "rsa"),
    Case("ECDSA", "cert = {ec.cert}\nkey = {ec.key}\n", "id-ecPublicKey"),
    Case("Ed25519", "cert = {ed}\n", "ED25519"),
    # stunnel leaves the chain out that is in it.
    Case("PKCS#12", "cert = {p12}\n", "id-ecPublicKey"),
    Case("PKCS#12, and a key that does not matter", "cert = {p12}\nkey = {rsa.key}\n", "id-ecPublicKey"),
    Case("the last of two", "cert = {rsa.cert}\nkey = {rsa.key}\ncert = {ec.cert}\nkey = {ec.key}\n", "id-ecPublicKey"),
    Case("parameters of its own", "cert = {dh}\n" + DHE, "Cipher is DHE-RSA-AES256-GCM-SHA384"),
    Case("no parameters", "cert = {rsa.pem}\n" + DHE, "Cipher is DHE-RSA-AES256-GCM-SHA384"),
)


class Files:
    """The files of the table. All leaves are of an intermediate CA, so the chain has to come along."""

    def __init__(self, directory: Path) -> None:
        top = Authority(directory, "top")
        between = Authority(directory, "between", top)
        self.ca, self.between = top.ca_file, between.ca_file
        rsa = between.issue(Wish(name="localhost", dns=["localhost"], algorithm="rsa"))
        ec = between.issue(Wish(name="localhost", dns=["localhost"]))
        ed, p12, dh = directory / "ed.pem", directory / "ec.p12", directory / "dh.pem"
        key = directory / "ed.key"
        openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=ed", "-keyout", key, "-out", ed)
        ed.write_bytes(ed.read_bytes() + key.read_bytes())
        self.ed = ed
        p12.write_bytes(bundle(ec, [top, between], None))
        openssl("dhparam", "-dsaparam", "-out", dh, "2048")
        dh.write_bytes(rsa.pem.read_bytes() + dh.read_bytes())
        for file in (ed, p12, dh):
            file.chmod(0o600)
        self._names = {"rsa": rsa, "ec": ec, "ed": ed, "p12": p12, "dh": dh}

    def fill(self, lines: str) -> str:
        """Lines with the names of files in them."""
        return lines.format_map(self._names)


def bundle(identity: Identity, above: list[Authority], phrase: str | None) -> bytes:
    """A PKCS#12 file."""
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    others = [authority.certificate for authority in above]
    encryption = serialization.BestAvailableEncryption(phrase.encode()) if phrase else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"x", key, identity.certificate, others, encryption)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of the table."""
    return Files(tmp_path_factory.mktemp("files"))


def test_what_is_presented(tunnel: Tunnels, echo: Server, files: Files, free_port: PortFactory) -> None:
    numbers = {case.name: free_port() for case in CASES}
    tunnel(
        "".join(
            f"[{case.name}]\naccept = 127.0.0.1:{numbers[case.name]}\nconnect = {echo.endpoint}\n"
            f"{files.fill(case.lines)}"
            for case in CASES
        )
    )
    for case in CASES:
        ca = files.ed if case.name == "Ed25519" else files.ca
        if tunnel.kind == "stunnel4" and "PKCS#12" in case.name:
            ca = files.between
        met = peers.s_client(numbers[case.name], "-CAfile", str(ca), "-partial_chain", "-no_ign_eof")
        text = met.stdout.decode(errors="replace")
        assert "Verification: OK" in text, f"{case.name}: {text}"
        assert case.says in text, f"{case.name}: {text}"


class Background:
    """gtunnel as a daemon that was given a passphrase on its standard input, which is no terminal."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid_file, self.log = directory / "pid", directory / "log"

    def __call__(self, text: str, given: str) -> "subprocess.CompletedProcess[str]":
        """Start it; returns when the first process has ended."""
        file = self.directory / "x.conf"
        file.write_text(f"syslog = no\nworkers = 2\n{text}")
        return subprocess.run(
            [*GTUNNEL, str(file)],
            input=given,
            # A file: the daemon keeps what it gets, and nobody waits for its end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **GTUNNEL_ENVIRONMENT},
            start_new_session=True,
        )

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until so many lines of the log have the text."""
        deadline = time.monotonic() + PATIENCE
        while sum(text in line for line in self.log.read_text().splitlines()) < times:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The daemon's."""
        return int(self.pid_file.read_text())

    def end(self) -> None:
        """End it, if it runs."""
        if not self.pid_file.exists():
            return
        pid = self.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    """`background(text, passphrase)`."""
    started = Background(tmp_path)
    yield started
    started.end()


def locked(identity: Identity, file: Path) -> Path:
    """A file with the certificate and its key, which has a passphrase."""
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(PHRASE.encode())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret = key.private_bytes(serialization.Encoding.PEM, form, encryption)
    file.touch(mode=0o600)
    file.write_bytes(identity.cert.read_bytes() + secret)
    return file


def shown(port: int, ca: Path) -> str:
    """What `openssl s_client` says of a service."""
    met = peers.s_client(port, "-CAfile", str(ca), "-verify_return_error", "-no_ign_eof")
    return met.stdout.decode(errors="replace")


def test_a_passphrase_is_asked_for_before_the_daemon_detaches_and_found_nowhere(
    background: Background, echo: Server, pki: Pki, tmp_path: Path, free_port: PortFactory
) -> None:
    port = free_port()
    pem = locked(pki.server, tmp_path / "locked.pem")
    p12 = tmp_path / "locked.p12"
    p12.touch(mode=0o600)
    p12.write_bytes(bundle(pki.server, [pki.authority], PHRASE))
    done = background(
        f"output = {background.log}\npid = {background.pid_file}\ndebug = debug\n"
        f"[pem]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {pem}\n"
        f"[p12]\naccept = 127.0.0.1:{ports.free_port()}\nconnect = {echo.endpoint}\ncert = {p12}\n",
        f"{PHRASE}\n",
    )
    assert done.returncode == 0, done.stderr
    # One passphrase opens both.
    assert done.stderr.count("pass phrase:") == 1
    assert "Verification: OK" in shown(port, pki.ca)
    os.kill(background.pid, signal.SIGHUP)
    background.wait_for("Configuration successful", times=2)
    background.wait_for("Accepting new connections", times=2)
    assert "Verification: OK" in shown(port, pki.ca)
    children = Path(f"/proc/{background.pid}/task/{background.pid}/children").read_text().split()
    for pid in (background.pid, *children):
        for where in ("cmdline", "environ"):
            assert b"horse" not in Path(f"/proc/{pid}/{where}").read_bytes()
    assert "horse" not in background.log.read_text()


@pytest.mark.parametrize("given", ["", "wrong\n", "wrong\nhunter2\n*\n"])
def test_without_the_right_passphrase_it_does_not_start(
    background: Background, echo: Server, pki: Pki, tmp_path: Path, given: str
) -> None:
    pem = locked(pki.server, tmp_path / "locked.pem")
    service = f"[it]\naccept = 127.0.0.1:{ports.free_port()}\nconnect = {echo.endpoint}\ncert = {pem}\n"
    done = background(f"output = {background.log}\npid = {background.pid_file}\n{service}", given)
    assert done.returncode == 1
    nobody = "its passphrase is asked for at start, on a terminal or from"
    why = "wrong passphrase" if given.count("\n") == 3 else nobody
    assert f'"cert = {pem}": Service [it]: cannot unlock the private key: {why}' in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.root
def test_in_a_jail_a_reload_reads_the_files_of_the_jail(
    background: Background, echo: Server, pki: Pki, tmp_path: Path, free_port: PortFactory
) -> None:
    port = free_port()
    jail = tmp_path / "jail"
    pem = locked(pki.server, tmp_path / "locked.pem")
    background.log = jail / "log"
    background.pid_file = jail / "pid"
    inside = Path(jail, str(tmp_path).lstrip("/"))
    inside.mkdir(parents=True)
    done = background(
        f"chroot = {jail}\noutput = /log\npid = /pid\ndebug = info\n"
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {pem}\n"
        f"CAfile = {pki.ca}\n",
        f"{PHRASE}\n",
    )
    assert done.returncode == 0, done.stderr
    assert "Verification: OK" in shown(port, pki.ca)
    # The configuration is there, the certificate is not.
    shutil.copy(tmp_path / "x.conf", inside)
    os.kill(background.pid, signal.SIGHUP)
    background.wait_for(f"No such file or directory (inside the chroot {jail})")
    background.wait_for("Failed to reload the configuration file")
    assert "Verification: OK" in shown(port, pki.ca)
    shutil.copy(pem, inside)
    there = Path(jail, str(pki.ca).lstrip("/"))
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(pki.ca, there)
    os.kill(background.pid, signal.SIGHUP)
    background.wait_for("Accepting new connections", times=2)
    assert "Verification: OK" in shown(port, pki.ca)


def test_a_check_asks_too(pki: Pki, tmp_path: Path) -> None:
    pem = locked(pki.server, tmp_path / "locked.pem")
    file = tmp_path / "x.conf"
    file.write_text(f"syslog = no\npid =\n[it]\naccept = 127.0.0.1:1\nconnect = 127.0.0.1:9\ncert = {pem}\n")
    for given, status in ((f"{PHRASE}\n", 0), ("", 1)):
        done = subprocess.run(
            [*GTUNNEL, "check", str(file)],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **GTUNNEL_ENVIRONMENT},
            start_new_session=True,
        )
        assert done.returncode == status, done.stderr
        assert f"Enter {pem} pass phrase:" in done.stderr
