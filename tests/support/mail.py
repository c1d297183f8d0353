"""Debian's mail servers: Postfix takes messages in, Dovecot hands them out, as on a small host.

Whoever knows `USER` and `PASSWORD` may send and read. Both have STARTTLS if they get a certificate, and none without.
Root only: both change users.
"""

import os
import pwd
import shutil
import signal
import smtplib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import needs
from tests.support.certificates import Identity
from tests.support.daemon import Daemon
from tests.support.places import public_directory
from tests.support.ports import free_port, wait_for_port

USER = "anna"
PASSWORD = "s3cret/password"  # noqa: S105
ADDRESS = "anna@example.org"
# Debian's user for mailboxes.
OWNER = "mail"
SUBMISSION = """\
127.0.0.1:PORT inet n - n - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailHost:
    """A running mail host, on 127.0.0.1. `submission` demands authentication."""

    smtp: int
    submission: int
    imap: int
    pop3: int
    postfix: Daemon
    dovecot: Daemon


@contextmanager
def mail_host(identity: Identity | None = None, *, submission: str = "") -> Iterator[MailHost]:
    """Run both until the end. With an identity, `submission` and Dovecot demand TLS of their clients.

    `submission`: lines of master.cf for it, with PORT for its port.
    """
    with ExitStack() as stack:
        place = stack.enter_context(public_directory())
        for name, owner in (("etc", "root"), ("queue", "root"), ("run", "root"), ("data", "postfix"), ("mail", OWNER)):
            (place / name).mkdir(mode=0o755)
            shutil.chown(place / name, owner)
        ports = {name: free_port() for name in ("smtp", "submission", "imap", "pop3")}
        dovecot = stack.enter_context(_dovecot(place, ports, identity))
        postfix = stack.enter_context(_postfix(place, ports, identity, submission or SUBMISSION))
        for port in ports.values():
            wait_for_port(port)
        yield MailHost(**ports, postfix=postfix, dovecot=dovecot)


def send(client: smtplib.SMTP, subject: str) -> None:
    """Send a message to `ADDRESS`."""
    client.sendmail(ADDRESS, [ADDRESS], f"From: {ADDRESS}\r\nTo: {ADDRESS}\r\nSubject: {subject}\r\n\r\nHello.\r\n")


@contextmanager
def _dovecot(place: Path, ports: dict[str, int], identity: Identity | None) -> Iterator[Daemon]:
    tls = "ssl = no\ndisable_plaintext_auth = no\n"
    if identity is not None:
        tls = f"ssl = required\nssl_cert = <{identity.cert}\nssl_key = <{identity.key}\n"
    path = place / "etc" / "dovecot.conf"
    path.write_text(f"""\
base_dir = {place}/run
log_path = /dev/stderr
protocols = imap pop3
listen = 127.0.0.1
first_valid_uid = 1
first_valid_gid = 1
auth_mechanisms = plain login
mail_location = maildir:{place}/mail/%u@example.org
passdb {{
  driver = static
  args = user={USER} password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={OWNER} gid={OWNER} home={place}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {ports["imap"]}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports["pop3"]}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service auth {{
  unix_listener sasl {{
    mode = 0666
  }}
}}
{tls}""")
    with Daemon([needs.program("dovecot"), "-F", "-c", path]) as daemon:
        yield daemon


@contextmanager
def _postfix(
    place: Path, ports: dict[str, int], identity: Identity | None, submission: str
) -> Iterator[Daemon]:
    tls = "smtpd_tls_security_level = none\n"
    if identity is not None:
        files = f"smtpd_tls_cert_file = {identity.cert}\nsmtpd_tls_key_file = {identity.key}\n"
        tls = f"smtpd_tls_security_level = may\n{files}"
        submission += "  -o smtpd_tls_security_level=encrypt\n"
    etc, owner = place / "etc", pwd.getpwnam(OWNER).pw_uid
    (etc / "main.cf").write_text(f"""\
compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
maillog_file_prefixes = /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.org
mydestination =
mynetworks =
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
virtual_mailbox_domains = example.org
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = static:{ADDRESS}/
virtual_minimum_uid = 1
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {place}/run/sasl
{tls}""")
    (etc / "master.cf").write_text(f"""\
127.0.0.1:{ports["smtp"]} inet n - n - - smtpd
{submission.replace("PORT", str(ports["submission"]))}\
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
virtual unix - n n - - virtual
error unix - - n - - error
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
""")
    with Daemon([needs.program("postfix"), "-c", etc, "start-fg"]) as daemon:
        try:
            yield daemon
        finally:
            # Its master is in a session of its own.
            os.kill(int((place / "queue" / "pid" / "master.pid").read_text()), signal.SIGTERM)
