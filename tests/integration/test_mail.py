"""Mail through gtunnel: Postfix and Dovecot without TLS behind it, and with STARTTLS before it."""

import imaplib
import poplib
import smtplib
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.support import mail, peers
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.mail import PASSWORD, USER, MailHost
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.root

PROTOCOLS = ("smtp", "imap", "pop3")


@pytest.fixture(scope="module")
def plain_host() -> Iterator[MailHost]:
    """A mail host that knows nothing of TLS."""
    with mail.mail_host() as host:
        yield host


@pytest.fixture(scope="module")
def tls_host(pki: Pki) -> Iterator[MailHost]:
    """A mail host whose clients have to say STARTTLS."""
    with mail.mail_host(pki.server) as host:
        yield host


@pytest.fixture
def served(gtunnel: Tunnels, plain_host: MailHost, pki: Pki, free_port: Callable[[], int]) -> dict[str, int]:
    """Ports of gtunnel with STARTTLS, before the host that has none."""
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    targets = {"smtp": plain_host.submission, "imap": plain_host.imap, "pop3": plain_host.pop3}
    gtunnel(
        "".join(
            f"[{protocol}]\naccept = 127.0.0.1:{ports[protocol]}\nconnect = 127.0.0.1:{targets[protocol]}\n"
            f"protocol = {protocol}\ncert = {pki.server.pem}\n"
            for protocol in PROTOCOLS
        )
    )
    return ports


@pytest.fixture
def context(pki: Pki) -> ssl.SSLContext:
    """What Python's mail clients verify with."""
    return ssl.create_default_context(cafile=str(pki.ca))


def test_pythons_clients_send_and_read_through_a_server(
    served: dict[str, int], plain_host: MailHost, context: ssl.SSLContext
) -> None:
    with smtplib.SMTP("localhost", served["smtp"], timeout=PATIENCE) as smtp:
        assert smtp.ehlo()[0] == 250
        assert smtp.has_extn("STARTTLS")
        assert not smtp.has_extn("AUTH")
        smtp.starttls(context=context)
        smtp.login(USER, PASSWORD)
        mail.send(smtp, "through a server")
    plain_host.postfix.wait_for("status=sent (delivered to maildir)")
    with imaplib.IMAP4("localhost", served["imap"], timeout=PATIENCE) as imap:
        assert {"STARTTLS", "LOGINDISABLED"} <= set(imap.capabilities)
        imap.starttls(context)
        assert "LOGINDISABLED" not in imap.capabilities
        imap.login(USER, PASSWORD)
        imap.select()
        assert imap.search(None, "SUBJECT", '"through a server"')[1] != [b""]
    pop = poplib.POP3("localhost", served["pop3"], timeout=PATIENCE)
    assert pop.capa() == {"STLS": []}
    pop.stls(context)
    pop.user(USER)
    pop.pass_(PASSWORD)
    assert pop.stat()[0] >= 1
    pop.quit()


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("smtp", ("--mail-from", mail.ADDRESS, "--mail-rcpt", mail.ADDRESS, "-T", "/dev/null")),
        ("imap", ("-X", "NOOP")),
        ("pop3", ("-l",)),
    ],
)
def test_curl_demands_tls_of_a_server_and_gets_it(
    served: dict[str, int], pki: Pki, protocol: str, more: tuple[str, ...]
) -> None:
    url = f"{protocol}://localhost:{served[protocol]}/"
    said = peers.curl("--ssl-reqd", "--cacert", str(pki.ca), "-u", f"{USER}:{PASSWORD}", *more, url)
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize(
    ("protocol", "send", "expected"),
    [
        ("smtp", b"NOOP\r\nQUIT\r\n", b"221 2.0.0 Bye"),
        ("imap", b"a LOGOUT\r\n", b"a OK Logout completed"),
        ("pop3", b"QUIT\r\n", b"+OK Logging out"),
    ],
)
def test_openssl_reaches_a_server(
    served: dict[str, int], pki: Pki, protocol: str, send: bytes, expected: bytes
) -> None:
    options = ("-starttls", protocol, "-quiet", "-verify_return_error", "-CAfile", str(pki.ca))
    said = peers.s_client(served[protocol], *options, send=send)
    assert expected in said.stdout
    assert said.returncode == 0


def test_nobody_logs_in_before_tls(served: dict[str, int], gtunnel: Tunnels) -> None:
    with smtplib.SMTP("localhost", served["smtp"], timeout=PATIENCE) as smtp:
        assert smtp.docmd("AUTH PLAIN AGFubmEAczNjcmV0")[0] == 530
        assert smtp.docmd("czNjcmV0")[0] == 530
        assert smtp.mail(mail.ADDRESS)[0] == 530
    with (
        imaplib.IMAP4("localhost", served["imap"], timeout=PATIENCE) as imap,
        pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"),
    ):
        imap.login(USER, PASSWORD)
    pop = poplib.POP3("localhost", served["pop3"], timeout=PATIENCE)
    with pytest.raises(poplib.error_proto, match="Say STLS first"):
        pop.user(USER)
    with pytest.raises(poplib.error_proto, match="Say STLS first"):
        pop.pass_(PASSWORD)
    pop.quit()
    assert " <- PASS ..." in gtunnel.outputs
    assert " LOGIN ..." in gtunnel.outputs
    assert PASSWORD not in gtunnel.outputs
    assert "czNjcmV0" not in gtunnel.outputs


def test_clients_without_tls_reach_servers_that_demand_it(
    gtunnel: Tunnels, tls_host: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    targets = {"smtp": tls_host.submission, "imap": tls_host.imap, "pop3": tls_host.pop3}
    gtunnel(
        f"client = yes\nCAfile = {pki.ca}\nverifyChain = yes\ncheckHost = localhost\n"
        + "".join(
            f"[{protocol}]\naccept = 127.0.0.1:{ports[protocol]}\nconnect = 127.0.0.1:{targets[protocol]}\n"
            f"protocol = {protocol}\n"
            for protocol in PROTOCOLS
        )
    )
    with smtplib.SMTP("localhost", ports["smtp"], timeout=PATIENCE) as smtp:
        smtp.login(USER, PASSWORD)
        assert not smtp.has_extn("STARTTLS")
        mail.send(smtp, "through a client")
    tls_host.postfix.wait_for("status=sent (delivered to maildir)")
    with imaplib.IMAP4("localhost", ports["imap"], timeout=PATIENCE) as imap:
        imap.login(USER, PASSWORD)
        imap.select()
        assert imap.search(None, "SUBJECT", '"through a client"')[1] != [b""]
    pop = poplib.POP3("localhost", ports["pop3"], timeout=PATIENCE)
    pop.user(USER)
    pop.pass_(PASSWORD)
    assert pop.stat()[0] >= 1
    pop.quit()


@pytest.mark.parametrize("how", ["plain", "login"])
def test_a_client_authenticates_for_those_who_cannot(
    gtunnel: Tunnels, tls_host: MailHost, pki: Pki, free_port: Callable[[], int], how: str
) -> None:
    port = free_port()
    tunnel = gtunnel(
        f"[out]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{tls_host.submission}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\nprotocol = smtp\nprotocolAuthentication = {how}\n"
        f"protocolUsername = {USER}\nprotocolPassword = {PASSWORD}\nprotocolHost = host.example.org\n"
    )
    with smtplib.SMTP("localhost", port, timeout=PATIENCE) as smtp:
        mail.send(smtp, f"by {how}")
    tls_host.postfix.wait_for(f"sasl_method={how.upper()}, sasl_username={USER}")
    assert PASSWORD not in tunnel.output
    assert " -> (secret)" in tunnel.output


def test_a_wrong_password_is_told_to_the_client_and_the_log(
    gtunnel: Tunnels, tls_host: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    port = free_port()
    tunnel = gtunnel(
        f"[out]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{tls_host.submission}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\nprotocol = smtp\n"
        f"protocolUsername = {USER}\nprotocolPassword = wr0ng-one\n"
    )
    with pytest.raises(smtplib.SMTPConnectError) as failure:
        smtplib.SMTP("localhost", port, timeout=PATIENCE)
    assert failure.value.smtp_code == 535
    tunnel.wait_for("smtp: PLAIN authentication failed: the server said '535 5.7.8")
    assert "wr0ng-one" not in tunnel.output


def test_a_client_of_a_server_without_tls_hears_that_there_is_no_service(
    gtunnel: Tunnels, plain_host: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    port = free_port()
    tunnel = gtunnel(
        f"[out]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{plain_host.smtp}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\nprotocol = smtp\n"
    )
    with pytest.raises(smtplib.SMTPConnectError) as failure:
        smtplib.SMTP("localhost", port, timeout=PATIENCE)
    assert failure.value.smtp_code == 421
    tunnel.wait_for("LOG3[0]: smtp: it refused STARTTLS: the server said '502 5.5.1")
