"""Debian's NNTP server, Cyrus nntpd, under its own master. Root only: it changes users."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import needs
from tests.support.certificates import Identity
from tests.support.daemon import Daemon
from tests.support.places import copy_for, public_directory
from tests.support.ports import free_port, wait_for_port

OWNER, GROUP = "cyrus", "mail"


@contextmanager
def news_server(identity: Identity | None = None) -> Iterator[int]:
    """Run it until the end, on 127.0.0.1; with STARTTLS if it gets a certificate. Gives its port."""
    port = free_port()
    with public_directory(OWNER, GROUP) as place:
        conf, services = place / "imapd.conf", place / "cyrus.conf"
        tls = ""
        if identity is not None:
            pem = copy_for(identity.pem, place / "server.pem", OWNER)
            tls = f"tls_server_cert: {pem}\ntls_server_key: {pem}\n"
        conf.write_text(f"""\
configdirectory: {place}
defaultpartition: default
partition-default: {place}/mail
partition-news: {place}/news
newsspool: {place}/news
servername: news.example.org
sasl_mech_list: PLAIN
allowplaintext: yes
{tls}""")
        services.write_text(f"""\
START {{
}}
SERVICES {{
  nntp cmd="{needs.program("nntpd")} -C {conf}" listen="127.0.0.1:{port}" prefork=0 maxchild=10
}}
EVENTS {{
}}
""")
        with Daemon([needs.program("cyrmaster"), "-C", conf, "-M", services, "-p", place / "pid", "-D"]):
            wait_for_port(port)
            yield port
