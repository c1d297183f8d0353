"""docs/howto-mail.md, with its own configurations, Postfix and Dovecot."""

import imaplib
import poplib
import smtplib
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.support import mail
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.mail import PASSWORD, USER, MailHost
from tests.support.pages import block
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.root

PAGE = "howto-mail.md"
CAS = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def plain_host() -> Iterator[MailHost]:
    """Without TLS, behind gtunnel, with the page's lines in master.cf."""
    with mail.mail_host(submission=block(PAGE, "master.cf", {"127.0.0.1:587": "127.0.0.1:PORT"})) as host:
        yield host


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[MailHost]:
    """A provider that demands TLS."""
    with mail.mail_host(pki.server) as host:
        yield host


def behind(host: MailHost, pki: Pki) -> dict[str, object]:
    """Where the page's servers are here."""
    return {
        "connect = 127.0.0.1:587": f"connect = 127.0.0.1:{host.submission}",
        "connect = 127.0.0.1:143": f"connect = 127.0.0.1:{host.imap}",
        "connect = 127.0.0.1:110": f"connect = 127.0.0.1:{host.pop3}",
        "/etc/gtunnel/server.pem": pki.server.pem,
    }


def test_clients_on_port_465_and_a_plain_server_behind(
    gtunnel: Tunnels, plain_host: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    ports = {number: free_port() for number in (465, 993, 995)}
    places = {f"accept = {number}": f"accept = 127.0.0.1:{port}" for number, port in ports.items()}
    gtunnel(block(PAGE, "server: /etc/gtunnel/gtunnel.conf", {**places, **behind(plain_host, pki)}))
    context = ssl.create_default_context(cafile=str(pki.ca))
    with smtplib.SMTP_SSL("localhost", ports[465], timeout=PATIENCE, context=context) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            mail.send(smtp, "an open relay")
        smtp.rset()
        smtp.login(USER, PASSWORD)
        mail.send(smtp, "port 465")
    plain_host.postfix.wait_for("status=sent (delivered to maildir)")
    with imaplib.IMAP4_SSL("localhost", ports[993], ssl_context=context, timeout=PATIENCE) as imap:
        imap.login(USER, PASSWORD)
        imap.select()
        assert imap.search(None, "SUBJECT", '"port 465"')[1] != [b""]
    pop = poplib.POP3_SSL("localhost", ports[995], context=context, timeout=PATIENCE)
    pop.user(USER)
    pop.pass_(PASSWORD)
    pop.quit()


def test_starttls_for_a_server_that_has_none(
    gtunnel: Tunnels, plain_host: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    ports = {number: free_port() for number in (587, 143, 110)}
    places = {f"accept = 192.0.2.25:{number}": f"accept = 127.0.0.1:{port}" for number, port in ports.items()}
    gtunnel(block(PAGE, "server with STARTTLS: /etc/gtunnel/gtunnel.conf", {**places, **behind(plain_host, pki)}))
    context = ssl.create_default_context(cafile=str(pki.ca))
    with smtplib.SMTP("localhost", ports[587], timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.login(USER, PASSWORD)
        mail.send(smtp, "port 587")
    with imaplib.IMAP4("localhost", ports[143], timeout=PATIENCE) as imap:
        imap.starttls(context)
        imap.login(USER, PASSWORD)
    pop = poplib.POP3("localhost", ports[110], timeout=PATIENCE)
    pop.stls(context)
    pop.user(USER)
    pop.pass_(PASSWORD)
    pop.quit()


def test_a_program_without_tls_and_a_provider_that_demands_it(
    gtunnel: Tunnels, provider: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    ports = {number: free_port() for number in (2525, 1143, 1110, 2526)}
    places: dict[str, object] = {f"127.0.0.1:{number}": f"127.0.0.1:{ports[number]}" for number in (2525, 1143, 1110)}
    smtp_place: dict[str, object] = {
        "smtp.example.org:587": f"127.0.0.1:{provider.submission}",
        "checkHost = smtp.example.org": "checkHost = localhost",
        CAS: pki.ca,
    }
    places |= smtp_place | {
        "imap.example.org:143": f"127.0.0.1:{provider.imap}",
        "pop.example.org:110": f"127.0.0.1:{provider.pop3}",
        "checkHost = imap.example.org": "checkHost = localhost",
        "checkHost = pop.example.org": "checkHost = localhost",
    }
    scanner = smtp_place | {
        "127.0.0.1:2526": f"127.0.0.1:{ports[2526]}",
        "protocolPassword = secret": f"protocolPassword = {PASSWORD}",
    }
    clients = block(PAGE, "client: /etc/gtunnel/gtunnel.conf", places)
    gtunnel(clients + block(PAGE, "client that logs in: /etc/gtunnel/gtunnel.conf", scanner))
    with smtplib.SMTP("localhost", ports[2525], timeout=PATIENCE) as smtp:
        smtp.login(USER, PASSWORD)
        mail.send(smtp, "from a program")
    with smtplib.SMTP("localhost", ports[2526], timeout=PATIENCE) as smtp:
        mail.send(smtp, "from a scanner")
    provider.postfix.wait_for("status=sent (delivered to maildir)", times=2)
    with imaplib.IMAP4("localhost", ports[1143], timeout=PATIENCE) as imap:
        imap.login(USER, PASSWORD)
        imap.select()
        assert imap.search(None, "SUBJECT", '"from a scanner"')[1] != [b""]
    pop = poplib.POP3("localhost", ports[1110], timeout=PATIENCE)
    pop.user(USER)
    pop.pass_(PASSWORD)
    assert pop.stat()[0] >= 2
    pop.quit()
