"""Pre-shared keys in both roles, with openssl, stunnel4 and gtunnel itself."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import peers
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels
from tests.support.visits import backend, visit

ServerFactory = Callable[..., Server]
PortFactory = Callable[[], int]

HEX = "0123456789abcdef" * 4
TEXT = "correct horse battery staple"
KEYS = f"hexed:{HEX}\nworded:{TEXT}\n"


def secrets(directory: Path, content: str = KEYS, name: str = "psk") -> Path:
    file = directory / name
    file.touch(mode=0o600)
    file.write_text(content)
    return file


def offers(version: str, identity: str, key: str) -> tuple[str, ...]:
    """Of openssl: TLS 1.3 takes such keys with SHA-256 alone."""
    old, new = ("-tls1_2", "-cipher", "PSK"), ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256")
    return ("-psk_identity", identity, "-psk", key, *(old if version == "1.2" else new))


def get(port: int) -> bytes:
    """What a backend says through a client service; empty if it is not reached."""
    data = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
            while more := connection.recv(1000):
                data += more
    except ConnectionResetError:
        pass
    return data


def in_hex(text: str) -> str:
    return text.encode().hex()


@pytest.fixture
def inside(server: ServerFactory) -> str:
    return str(server(backend("inside")).endpoint)


def test_openssl_proves_itself_by_a_key(
    tunnel: Tunnels, inside: str, free_port: PortFactory, tmp_path: Path, tls_version: str
) -> None:
    port = free_port()
    running = tunnel(f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nPSKsecrets = {secrets(tmp_path)}\n")
    assert visit(port, *offers(tls_version, "hexed", HEX)).reached == "inside"
    assert visit(port, *offers(tls_version, "worded", in_hex(TEXT))).reached == "inside"
    for identity, key in (("hexed", "00" * 32), ("hexed", in_hex(HEX)), ("nobody", HEX)):
        assert visit(port, *offers(tls_version, identity, key)).reached == "", (identity, key)
    assert visit(port).reached == ""
    running.wait_for('Key configured for PSK identity "hexed"')
    assert HEX not in running.output
    assert TEXT not in running.output


@pytest.mark.parametrize("identity", ["", "PSKidentity = worded\n"], ids=["first", "named"])
def test_both_ends_of_a_tunnel_know_a_key(
    tunnel_pair: tuple[Tunnels, Tunnels],
    inside: str,
    free_port: PortFactory,
    tmp_path: Path,
    tls_version: str,
    identity: str,
) -> None:
    client, server = tunnel_pair
    port, mine, wrong = free_port(), free_port(), free_port()
    file = secrets(tmp_path)
    bad = secrets(tmp_path, "hexed:ffffffffffffffffffffffffffffffff\nworded:another key, as long as that\n", "bad")
    serving = server(f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nPSKsecrets = {file}\n")
    lines = f"client = yes\nconnect = 127.0.0.1:{port}\nsslVersion = TLSv{tls_version}\n{identity}"
    calling = client(
        f"[good]\naccept = 127.0.0.1:{mine}\nPSKsecrets = {file}\n{lines}"
        f"[bad]\naccept = 127.0.0.1:{wrong}\nPSKsecrets = {bad}\n{lines}"
    )
    for _ in range(3):
        assert get(mine) == b"reached:inside\n"
    assert get(wrong) == b""
    assert get(mine) == b"reached:inside\n"
    for output in (calling.output, serving.output):
        assert not re.search(f"{HEX}|{TEXT}", output, re.IGNORECASE)


def test_a_client_proves_itself_to_openssl(
    tunnel: Tunnels, pki: Pki, free_port: PortFactory, tmp_path: Path, tls_version: str
) -> None:
    port, mine = free_port(), free_port()
    with peers.s_server(pki.server, port, *offers(tls_version, "hexed", HEX)[2:], "-rev", "-psk_identity", "hexed"):
        running = tunnel(
            f"[out]\nclient = yes\naccept = 127.0.0.1:{mine}\nconnect = 127.0.0.1:{port}\n"
            f"PSKsecrets = {secrets(tmp_path)}\nciphers = PSK\n"
        )
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", mine), timeout=15) as connection:
                connection.sendall(b"abc\n")
                assert connection.recv(10) == b"cba\n"
        assert running.count("uses no pre-shared key") == 0


def test_a_key_or_a_certificate(
    gtunnel: Tunnels, pki: Pki, inside: str, free_port: PortFactory, tmp_path: Path, tls_version: str
) -> None:
    port = free_port()
    gtunnel(
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nPSKsecrets = {secrets(tmp_path)}\n"
        f"ciphers = HIGH:PSK\ncert = {pki.server.cert}\nkey = {pki.server.key}\nverifyChain = yes\nCAfile = {pki.ca}\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    alice = ("-cert", str(pki.client.cert), "-key", str(pki.client.key))
    mallory = ("-cert", str(pki.stranger_client.cert), "-key", str(pki.stranger_client.key))
    assert visit(port, *offers(tls_version, "hexed", HEX)).reached == "inside"
    assert visit(port, only, *alice).reached == "inside"
    assert visit(port, only, *mallory).reached == ""
    assert visit(port, only).reached == ""
    assert visit(port, *offers(tls_version, "hexed", "00" * 32)).reached == ""


# content -> line of which something is wrong
@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("one:0123456789abcdef0123456789abcdef\nno colon at all\n", 2, "Not in identity:key format"),
        ("one:short\n", 1, "Key shorter than"),
        ("", 0, "No PSK identities found"),
    ],
)
def test_a_file_that_is_wrong_is_told_by_its_line(
    gtunnel: Tunnels, inside: str, free_port: PortFactory, tmp_path: Path, content: str, line: int, reason: str
) -> None:
    file = secrets(tmp_path, content)
    said = gtunnel.refuse(f"[it]\naccept = 127.0.0.1:{free_port()}\nconnect = {inside}\nPSKsecrets = {file}\n")
    assert reason in said
    assert (f"line {line}:" in said) == bool(line)
    assert "no colon at all" not in said
    assert "0123456789abcdef" not in said


def test_a_file_that_others_may_read_is_warned_about(
    tunnel: Tunnels, inside: str, free_port: PortFactory, tmp_path: Path
) -> None:
    file = secrets(tmp_path)
    file.chmod(0o644)
    running = tunnel(f"[it]\naccept = 127.0.0.1:{free_port()}\nconnect = {inside}\nPSKsecrets = {file}\n")
    running.wait_for("Insecure file permissions on ")


def test_a_thousand_identities_are_looked_at(
    gtunnel: Tunnels, inside: str, free_port: PortFactory, tmp_path: Path
) -> None:
    file = secrets(tmp_path, "".join(f"client{number}:{number:064x}\n" for number in range(1, 1001)))
    port = free_port()
    gtunnel(f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\nPSKsecrets = {file}\n")
    assert visit(port, *offers("1.2", "client999", f"{999:064x}")).reached == "inside"
    assert visit(port, *offers("1.3", "client1000", f"{1000:064x}")).reached == "inside"
