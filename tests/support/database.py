"""Debian's PostgreSQL, with a data directory of its own. Root only: it refuses to be root."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import needs
from tests.support.certificates import Identity
from tests.support.daemon import PATIENCE, Daemon
from tests.support.places import copy_for, public_directory
from tests.support.ports import free_port

OWNER = "postgres"
USER = "anna"
PASSWORD = "s3cret"  # noqa: S105
_AS_OWNER = ("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "--")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A running server on 127.0.0.1 and, with the same port, on a Unix socket in `sockets`."""

    port: int
    sockets: Path
    daemon: Daemon


@contextmanager
def postgresql(identity: Identity | None = None, *, rules: str = "") -> Iterator[Database]:
    """Run it until the end; with `ssl = on` if it gets a certificate. Over TCP it then takes nobody without TLS.

    `rules` are lines of pg_hba.conf that count instead.
    """
    port = free_port()
    with public_directory(OWNER) as place:
        data = place / "data"
        _run("initdb", "-D", data, "-U", OWNER, "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")
        options: dict[str, object] = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": place}
        options |= {"fsync": "off", "log_statement": "all"}
        rule = "host all all 127.0.0.1/32 scram-sha-256"
        if identity is not None:
            pem = copy_for(identity.pem, data / "server.pem", OWNER)
            options |= {"ssl": "on", "ssl_cert_file": pem, "ssl_key_file": pem}
            # libpq takes no channel binding (SCRAM-SHA-256-PLUS) from a server if it did not speak TLS itself.
            rule = "hostssl all all 127.0.0.1/32 password"
        rules = rules or f"local all all scram-sha-256\n{rule}\n"
        (data / "pg_hba.conf").write_text(f"local all {OWNER} trust\n{rules}")
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with Daemon([*_AS_OWNER, _program("postgres"), "-D", str(data), *settings], cwd=place) as daemon:
            daemon.wait_for("database system is ready to accept connections")
            sql = f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"
            _run("psql", "-h", place, "-p", str(port), "-U", OWNER, "-c", sql, "postgres")
            yield Database(port=port, sockets=place, daemon=daemon)


def psql(*conninfo: str, sql: str = "select 6 * 7") -> "subprocess.CompletedProcess[str]":
    """Ask a server as `USER`; `conninfo` are libpq's keywords."""
    return subprocess.run(_psql(conninfo, sql), capture_output=True, text=True, timeout=PATIENCE, check=False)


def interrupted_psql(database: Database, *conninfo: str) -> str:
    """Have a query run for a minute, and interrupt it as Ctrl-C does. Gives what psql says to that."""
    with Daemon(_psql(conninfo, "select pg_sleep(60)")) as client:
        database.daemon.wait_for("statement: select pg_sleep(60)")
        client.send(signal.SIGINT)
        client.wait()
        return client.output


def _psql(conninfo: tuple[str, ...], sql: str) -> list[str]:
    words = " ".join((*conninfo, f"user={USER} password={PASSWORD} dbname=postgres connect_timeout=10"))
    return [needs.program("psql"), "-X", "-A", "-t", "-c", sql, words]


def _run(program: str, *arguments: str | Path) -> None:
    argv = [*_AS_OWNER, _program(program), *map(str, arguments)]
    subprocess.run(argv, check=True, capture_output=True, timeout=60, cwd="/")


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or needs.program(name)
