"""Sessions are resumed in both roles, by ticket and by id, and open nothing that they did not open at first."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gtunnel.tls.openssl import sessions
from tests.support import peers
from tests.support.certificates import Identity, Pki
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import PREAMBLE, READY, Tunnels
from tests.support.visits import backend, visit

ServerFactory = Callable[..., Server]
PortFactory = Callable[[], int]

REUSED = "previous session reused"
# With PyPI's wheels a server's clients have to take tickets.
by_id = pytest.param(
    "options = NO_TICKET\n",
    id="id",
    marks=pytest.mark.skipif(not sessions.CAN_OFFER, reason="this OpenSSL is linked statically into the bindings"),
)
by_ticket = pytest.param("", id="ticket")
shared_only = pytest.mark.skipif(not sessions.CAN_OFFER, reason="this OpenSSL is linked statically into the bindings")


def only(version: str) -> str:
    return f"-tls{version.replace('.', '_')}"


def shows(identity: Identity) -> tuple[str, ...]:
    return ("-cert", str(identity.cert), "-key", str(identity.key))


@pytest.fixture
def inside(server: ServerFactory) -> str:
    return str(server(backend("inside")).endpoint)


@pytest.fixture
def lines(pki: Pki, inside: str) -> Callable[..., str]:
    """`lines(port, more)`: a server service."""

    def text(port: int, more: str = "", name: str = "it") -> str:
        return (
            f"[{name}]\naccept = 127.0.0.1:{port}\nconnect = {inside}\n"
            f"cert = {pki.server.cert}\nkey = {pki.server.key}\n{more}"
        )

    return text


Lines = Callable[..., str]


# --- as a server


@pytest.mark.parametrize("how", [by_ticket, by_id])
@pytest.mark.parametrize("demands", ["anybody", "verifyChain", "verifyPeer"])
def test_any_worker_resumes_and_knows_the_peer(
    gtunnel: Tunnels,
    pki: Pki,
    lines: Lines,
    free_port: PortFactory,
    tls_version: str,
    how: str,
    demands: str,
    tmp_path: Path,
) -> None:
    port = free_port()
    verification = {
        "anybody": "",
        "verifyChain": f"verifyChain = yes\nCAfile = {pki.ca}\n",
        "verifyPeer": f"verifyPeer = yes\nCAfile = {pki.client.cert}\n",
    }[demands]
    running = gtunnel("workers = 2\n" + lines(port, verification + how))
    me = () if demands == "anybody" else shows(pki.client)
    session = tmp_path / "session"
    first = visit(port, only(tls_version), *me, session=session)
    assert (first.reached, first.resumed) == ("inside", False)
    for _ in range(6):
        # Without the certificate: the session is as authenticated as it was.
        again = visit(port, only(tls_version), session=session)
        assert (again.reached, again.resumed, again.version) == ("inside", True, f"TLSv{tls_version}")
    running.wait_for(f"TLS accepted: {REUSED}", times=6)


@shared_only
def test_a_client_that_takes_no_tickets_resumes_by_id(
    gtunnel: Tunnels, pki: Pki, lines: Lines, free_port: PortFactory, tmp_path: Path
) -> None:
    port = free_port()
    gtunnel("workers = 2\n" + lines(port, f"verifyChain = yes\nCAfile = {pki.ca}\n"))
    session = tmp_path / "session"
    options = ("-tls1_2", "-no_ticket")
    assert visit(port, *options, *shows(pki.client), session=session).reached == "inside"
    for _ in range(4):
        found = visit(port, *options, session=session)
        assert (found.reached, found.resumed) == ("inside", True)


@pytest.mark.parametrize("how", [by_ticket, by_id])
def test_a_session_is_no_good_where_more_is_demanded(
    gtunnel: Tunnels, pki: Pki, lines: Lines, free_port: PortFactory, tls_version: str, how: str, tmp_path: Path
) -> None:
    open_port, closed_port = free_port(), free_port()
    gtunnel(
        lines(open_port, f"verifyChain = yes\nrequireCert = no\nCAfile = {pki.ca}\n{how}", "same")
        + lines(closed_port, f"verifyChain = yes\nCAfile = {pki.ca}\n{how}service = same\n", "other")
    )
    session = tmp_path / "session"
    assert visit(open_port, only(tls_version), session=session).reached == "inside"
    assert visit(closed_port, only(tls_version), session=session).reached == ""
    assert visit(closed_port, only(tls_version), *shows(pki.client)).reached == "inside"


def test_a_reload_that_demands_more_ends_sessions(
    gtunnel: Tunnels, pki: Pki, lines: Lines, free_port: PortFactory, tls_version: str, tmp_path: Path
) -> None:
    port = free_port()
    running = gtunnel(lines(port))
    conf = Path(running.argv[-1])
    session = tmp_path / "session"
    assert visit(port, only(tls_version), session=session).reached == "inside"
    conf.write_text(PREAMBLE + lines(port, f"verifyChain = yes\nCAfile = {pki.ca}\n"))
    running.send(signal.SIGHUP)
    running.wait_for(READY, times=2)
    running.wait_for("onfiguration")
    for _ in range(20):
        found = visit(port, only(tls_version), session=session)
        if found.reached == "":
            break
    for _ in range(4):
        assert visit(port, only(tls_version), session=session).reached == ""


@pytest.mark.parametrize("how", [by_ticket, by_id])
def test_session_resume_no(
    tunnel: Tunnels, lines: Lines, free_port: PortFactory, tls_version: str, how: str, tmp_path: Path
) -> None:
    port = free_port()
    tunnel(lines(port, f"sessionResume = no\n{how}"))
    for _ in range(3):
        found = visit(port, only(tls_version), session=tmp_path / "session")
        assert (found.reached, found.resumed) == ("inside", False)


@pytest.mark.parametrize("how", [by_ticket, by_id])
def test_a_session_that_has_expired_costs_a_full_handshake(
    gtunnel: Tunnels, lines: Lines, free_port: PortFactory, tls_version: str, how: str, tmp_path: Path
) -> None:
    port = free_port()
    gtunnel(lines(port, f"sessionCacheTimeout = 1\n{how}"))
    session = tmp_path / "session"
    assert visit(port, only(tls_version), session=session).reached == "inside"
    kept = session.read_bytes()
    resumed = True
    for _ in range(200):
        session.write_bytes(kept)
        found = visit(port, only(tls_version), session=session)
        assert found.reached == "inside"
        resumed = found.resumed
        if not resumed:
            break
    assert not resumed


@shared_only
def test_the_cache_keeps_as_many_as_it_may(
    gtunnel: Tunnels, lines: Lines, free_port: PortFactory, tls_version: str, tmp_path: Path
) -> None:
    port = free_port()
    gtunnel(lines(port, "sessionCacheSize = 2\noptions = NO_TICKET\n"))
    files = [tmp_path / f"{number}.session" for number in range(8)]
    for session in files:
        assert visit(port, only(tls_version), session=session).reached == "inside"
    resumed = [visit(port, only(tls_version), "-sess_in", str(session)).resumed for session in reversed(files)]
    assert 1 <= sum(resumed) <= 2


SECRETS = f"ticketKeySecret = {'11' * 32}\nticketMacSecret = {'22' * 32}\n"
OTHERS = f"ticketKeySecret = {'33' * 32}\nticketMacSecret = {'22' * 32}\n"


@shared_only
def test_ticket_secrets_survive_a_restart_and_are_good_elsewhere(
    gtunnel: Tunnels, pki: Pki, lines: Lines, free_port: PortFactory, tls_version: str, tmp_path: Path
) -> None:
    here, there, stranger = free_port(), free_port(), free_port()
    demands = f"verifyChain = yes\nCAfile = {pki.ca}\n"
    first = gtunnel(lines(here, demands + SECRETS))
    gtunnel(lines(there, demands + SECRETS))
    gtunnel(lines(stranger, demands + OTHERS))
    session = tmp_path / "session"
    assert visit(here, only(tls_version), *shows(pki.client), session=session).reached == "inside"
    found = visit(there, only(tls_version), session=session)
    assert (found.reached, found.resumed) == ("inside", True)
    kept = session.read_bytes()
    found = visit(stranger, only(tls_version), *shows(pki.client), session=session)
    assert (found.reached, found.resumed) == ("inside", False)
    first.stop()
    gtunnel(lines(here, demands + SECRETS))
    session.write_bytes(kept)
    found = visit(here, only(tls_version), session=session)
    assert (found.reached, found.resumed) == ("inside", True)


@pytest.mark.skipif(sessions.CAN_OFFER, reason="this OpenSSL can")
@pytest.mark.parametrize(
    ("more", "option"), [(SECRETS, "ticketKeySecret"), ("sessiond = 127.0.0.1:1\n", "sessiond")], ids=["secrets", "udp"]
)
def test_what_wheels_cannot_do_is_refused_with_what_helps(
    gtunnel: Tunnels, lines: Lines, free_port: PortFactory, more: str, option: str
) -> None:
    said = gtunnel.refuse(lines(free_port(), more))
    assert option in said
    assert "with Debian's python3-openssl gtunnel can" in said
    assert "11" * 32 not in said


# --- as a client


@pytest.fixture
def through(free_port: PortFactory) -> Callable[..., tuple[Daemon, int]]:
    """`through(tunnels, server port, more)`: a client service, and its port."""

    def start(tunnels: Tunnels, port: int, more: str = "", preamble: str = "") -> tuple[Daemon, int]:
        mine = free_port()
        running = tunnels(
            f"{preamble}[out]\nclient = yes\naccept = 127.0.0.1:{mine}\nconnect = 127.0.0.1:{port}\n{more}"
        )
        return running, mine

    return start


Through = Callable[..., tuple[Daemon, int]]


def get(port: int) -> bytes:
    """All that a backend says through a client service."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        data = b""
        while more := connection.recv(1000):
            data += more
        return data


def test_a_client_resumes_with_a_tunnel(
    tunnel_pair: tuple[Tunnels, Tunnels],
    pki: Pki,
    lines: Lines,
    through: Through,
    free_port: PortFactory,
    tls_version: str,
) -> None:
    client, server = tunnel_pair
    port = free_port()
    serving = server(lines(port))
    versions = f"sslVersion = TLSv{tls_version}\n"
    running, mine = through(client, port, f"{versions}verifyChain = yes\nCAfile = {pki.ca}\n")
    for _ in range(4):
        assert get(mine) == b"reached:inside\n"
    running.wait_for(f"TLS connected: {REUSED}", times=2)
    serving.wait_for(f"TLS accepted: {REUSED}", times=2)


def test_workers_of_a_client_share_sessions_with_nginx(
    gtunnel: Tunnels,
    pki: Pki,
    through: Through,
    free_port: PortFactory,
    tls_version: str,
    tmp_path: Path,
    inside: str,
) -> None:
    port = free_port()
    nginx = peers.nginx(
        tmp_path / "nginx",
        stream=f"server {{ listen 127.0.0.1:{port} ssl; proxy_pass {inside}; ssl_certificate {pki.server.cert};"
        f" ssl_certificate_key {pki.server.key}; ssl_protocols TLSv{tls_version};"
        " ssl_session_cache shared:one:1m; }",
    )
    with nginx:
        running, mine = through(gtunnel, port, f"verifyChain = yes\nCAfile = {pki.ca}\n", "workers = 2\n")
        for _ in range(8):
            assert get(mine) == b"reached:inside\n"
        running.wait_for(f"TLS connected: {REUSED}", times=7)


def test_a_server_that_was_replaced_costs_a_full_handshake(
    gtunnel: Tunnels, pki: Pki, through: Through, free_port: PortFactory, tls_version: str
) -> None:
    port = free_port()
    mine = 0
    running: Daemon | None = None
    for turn in range(2):
        with peers.s_server(pki.server, port, only(tls_version), "-rev"):
            if running is None:
                running, mine = through(gtunnel, port, f"verifyChain = yes\nCAfile = {pki.ca}\n")
            for _ in range(2):
                assert ask(mine, b"abc\n") == b"cba\n"
        running.wait_for("TLS connected: new session negotiated", times=turn + 1)
        running.wait_for(f"TLS connected: {REUSED}", times=turn + 1)
    assert running is not None
    running.wait_for("Service [out] finished", times=4)
    assert running.count("TLS connected: new session negotiated") == 2


def ask(port: int, question: bytes) -> bytes:
    """What a line is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        connection.sendall(question)
        data = b""
        while not data.endswith(b"\n") and (more := connection.recv(1000)):
            data += more
        return data


def test_sessions_of_different_names_and_servers_do_not_mix(
    gtunnel: Tunnels, lines: Lines, free_port: PortFactory, tls_version: str
) -> None:
    one = free_port()
    serving = gtunnel(lines(one, SECRETS if sessions.CAN_OFFER else "", "it"))
    ports = [free_port() for _ in range(2)]
    text = "".join(
        f"[to{number}]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{one}\nsni = name{number}.test\n"
        f"sslVersion = TLSv{tls_version}\n"
        for number, port in enumerate(ports)
    )
    gtunnel(text)
    for port in ports:
        assert get(port) == b"reached:inside\n"
    assert serving.count(REUSED) == 0
    for port in ports:
        assert get(port) == b"reached:inside\n"
    serving.wait_for(f"TLS accepted: {REUSED}", times=2)


def test_a_client_that_is_not_to_resume_does_not(
    tunnel: Tunnels, gtunnel: Tunnels, lines: Lines, through: Through, free_port: PortFactory, tls_version: str
) -> None:
    port = free_port()
    serving = gtunnel(lines(port))
    _, mine = through(tunnel, port, f"sessionResume = no\nsslVersion = TLSv{tls_version}\n")
    for _ in range(3):
        assert get(mine) == b"reached:inside\n"
    assert serving.count(REUSED) == 0
