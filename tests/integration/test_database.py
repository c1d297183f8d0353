"""PostgreSQL through gtunnel: a server without TLS behind it, and one that demands TLS before it."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import database
from tests.support.certificates import Pki
from tests.support.database import Database, psql
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def plain_database() -> Iterator[Database]:
    """A server that knows nothing of TLS."""
    with database.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def tls_database(pki: Pki) -> Iterator[Database]:
    """A server that takes nobody without TLS."""
    with database.postgresql(pki.server) as server:
        yield server


def test_psql_demands_tls_of_a_server_and_gets_it(
    gtunnel: Tunnels, plain_database: Database, pki: Pki, free_port: Callable[[], int]
) -> None:
    port = free_port()
    tunnel = gtunnel(
        f"[db]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{plain_database.port}\nprotocol = pgsql\n"
        f"cert = {pki.server.pem}\n"
    )
    where = ("host=localhost hostaddr=127.0.0.1", f"port={port}")
    said = psql(*where, "sslmode=verify-full", f"sslrootcert={pki.ca}")
    assert (said.stdout, said.stderr) == ("42\n", "")
    refused = psql(*where, "sslmode=disable")
    assert "FATAL:  TLS is required" in refused.stderr
    tunnel.wait_for("LOG3[1]: pgsql: the client did not request TLS, but sent a startup packet (protocol 3.0)")


def test_a_client_is_told_under_tls_that_there_is_no_database(
    gtunnel: Tunnels, pki: Pki, free_port: Callable[[], int]
) -> None:
    port, nobody = free_port(), free_port()
    cert = f"cert = {pki.server.pem}"
    gtunnel(f"[db]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{nobody}\nprotocol = pgsql\n{cert}\n")
    said = psql("host=127.0.0.1", f"port={port}", "sslmode=require")
    assert "FATAL:  the database cannot be reached" in said.stderr


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_a_client_needs_no_tls_for_a_server_that_demands_it(
    gtunnel: Tunnels, tls_database: Database, pki: Pki, free_port: Callable[[], int], sslmode: str
) -> None:
    port = free_port()
    gtunnel(
        f"[db]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{tls_database.port}\nprotocol = pgsql\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\ncheckHost = localhost\n"
    )
    where = ("host=127.0.0.1", f"port={port}")
    said = psql(*where, f"sslmode={sslmode}", sql="select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    assert (said.stdout, said.stderr) == ("t\n", "")
    assert "server does not support SSL" in psql(*where, "sslmode=require").stderr


def test_a_query_is_interrupted_through_a_client(
    gtunnel: Tunnels, tls_database: Database, pki: Pki, free_port: Callable[[], int]
) -> None:
    port = free_port()
    gtunnel(
        f"[db]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{tls_database.port}\nprotocol = pgsql\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\n"
    )
    said = database.interrupted_psql(tls_database, "host=127.0.0.1", f"port={port}")
    assert "canceling statement due to user request" in said


def test_a_client_of_a_server_without_tls_hears_why(
    gtunnel: Tunnels, plain_database: Database, free_port: Callable[[], int]
) -> None:
    port = free_port()
    tunnel = gtunnel(
        f"[db]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{plain_database.port}\nprotocol = pgsql\n"
    )
    said = psql("host=127.0.0.1", f"port={port}", "sslmode=disable")
    assert "FATAL:  no secure connection to the database" in said.stderr
    tunnel.wait_for("PostgreSQL server rejected TLS: set ssl = on")
