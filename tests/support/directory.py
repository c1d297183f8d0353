"""Debian's LDAP server, slapd, with an empty database of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import needs
from tests.support.certificates import Identity
from tests.support.daemon import PATIENCE, Daemon
from tests.support.ports import free_port, wait_for_port

SUFFIX = "dc=example,dc=org"


@contextmanager
def slapd(place: Path, identity: Identity | None = None) -> Iterator[int]:
    """Run it until the end, on 127.0.0.1; with StartTLS, and nothing without it, if it gets a certificate."""
    port = free_port()
    (place / "database").mkdir()
    tls = ""
    if identity is not None:
        tls = f"TLSCertificateFile {identity.cert}\nTLSCertificateKeyFile {identity.key}\nsecurity tls=1\n"
    conf = place / "slapd.conf"
    conf.write_text(f"""\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {place}/pid
{tls}database mdb
suffix "{SUFFIX}"
directory {place}/database
""")
    with Daemon([needs.program("slapd"), "-d", "256", "-f", conf, "-h", f"ldap://127.0.0.1:{port}"]) as daemon:
        daemon.wait_for("slapd starting")
        wait_for_port(port)
        yield port


def search(port: int, *options: str) -> "subprocess.CompletedProcess[str]":
    """Ask a server for its root entry's naming contexts."""
    where = ["-x", "-H", f"ldap://localhost:{port}", "-b", "", "-s", "base", "-o", "nettimeout=10"]
    argv = [needs.program("ldapsearch"), *where, *options, "namingContexts"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
