"""docs/howto-database.md, with its own configurations and PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import database
from tests.support.certificates import Pki
from tests.support.database import Database, psql
from tests.support.pages import block
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.root

PAGE = "howto-database.md"
NETWORK: dict[str, object] = {"192.0.2.0/24": "127.0.0.1/32"}
Ports = Callable[[], int]


@pytest.fixture(scope="module")
def plain_database() -> Iterator[Database]:
    """A server without TLS, which asks for passwords on its Unix socket as the page says."""
    with database.postgresql(rules=block(PAGE, "pg_hba.conf", {"local all all": "local all all"})) as running:
        yield running


def server(title: str, pki: Pki, postgres: Database, port: int, *, demanding: bool) -> str:
    """One of the page's servers, before a database."""
    places: dict[str, object] = {
        "accept = 5433": f"accept = 127.0.0.1:{port}",
        "/run/postgresql/.s.PGSQL.5432": f"{postgres.sockets}/.s.PGSQL.{postgres.port}",
        "/etc/gtunnel/db.pem": pki.server.pem,
    }
    return block(PAGE, title, places | ({"/etc/gtunnel/ca.pem": pki.ca} if demanding else {}))


def client(directory: Path, pki: Pki, port: int) -> str:
    """The page's client, whose Unix socket is in this directory."""
    places: dict[str, object] = {
        "/run/gtunnel": directory,
        "db.example.org:5433": f"127.0.0.1:{port}",
        "checkHost = db.example.org": "checkHost = localhost",
        "/etc/gtunnel/app.pem": pki.client.pem,
        "/etc/gtunnel/ca.pem": pki.ca,
    }
    return block(PAGE, "client: /etc/gtunnel/gtunnel.conf", places)


def test_from_unix_socket_to_unix_socket(
    gtunnel: Tunnels, plain_database: Database, pki: Pki, free_port: Ports, tmp_path: Path
) -> None:
    port = free_port()
    gtunnel(server("server: /etc/gtunnel/gtunnel.conf", pki, plain_database, port, demanding=True))
    gtunnel(client(tmp_path, pki, port))
    said = psql(f"host={tmp_path}", "port=5432")
    assert (said.stdout, said.stderr) == ("42\n", "")


def test_nobody_without_a_certificate_reaches_the_database(
    gtunnel: Tunnels, plain_database: Database, pki: Pki, free_port: Ports, tmp_path: Path
) -> None:
    port = free_port()
    tunnel = gtunnel(server("server: /etc/gtunnel/gtunnel.conf", pki, plain_database, port, demanding=True))
    lines = client(tmp_path, pki, port).splitlines()
    gtunnel("\n".join(line for line in lines if not line.startswith("cert =")))
    assert psql(f"host={tmp_path}", "port=5432").returncode != 0
    tunnel.wait_for("peer did not return a certificate")


def test_clients_with_tls_and_a_server_without(
    gtunnel: Tunnels, plain_database: Database, pki: Pki, free_port: Ports
) -> None:
    port = free_port()
    title = "server for clients with TLS: /etc/gtunnel/gtunnel.conf"
    gtunnel(server(title, pki, plain_database, port, demanding=False))
    said = psql("host=localhost hostaddr=127.0.0.1", f"port={port}", "sslmode=verify-full", f"sslrootcert={pki.ca}")
    assert (said.stdout, said.stderr) == ("42\n", "")
    assert "FATAL:  TLS is required" in psql("host=127.0.0.1", f"port={port}", "sslmode=disable").stderr


def test_clients_without_tls_and_a_server_that_demands_it(gtunnel: Tunnels, pki: Pki, free_port: Ports) -> None:
    port = free_port()
    with database.postgresql(pki.server, rules=block(PAGE, "pg_hba.conf of a server with TLS", NETWORK)) as postgres:
        places: dict[str, object] = {
            "127.0.0.1:5434": f"127.0.0.1:{port}",
            "db.example.org:5432": f"127.0.0.1:{postgres.port}",
            "checkHost = db.example.org": "checkHost = localhost",
            "/etc/gtunnel/ca.pem": pki.ca,
        }
        gtunnel(block(PAGE, "client of a server with TLS: /etc/gtunnel/gtunnel.conf", places))
        said = psql("host=127.0.0.1", f"port={port}")
        assert (said.stdout, said.stderr) == ("42\n", "")
