"""The same configurations for stunnel4 and for us: both take them, or both do not.

Cases that gtunnel refuses on purpose (what does not work yet) or takes on purpose (Windows options, newer options) are
not here; where we are stricter than stunnel with what can mean nothing, DIFFERENCES has the case and the reason.
"""

import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from gtunnel.conf.errors import ConfigError
from gtunnel.conf.load import parse_text

pytestmark = pytest.mark.skipif(shutil.which("stunnel4") is None, reason="stunnel4 is not installed")

# Port 0: whatever is free. Nothing is ever connected.
PATIENCE = 3.0  # seconds
PROCESS = "foreground = yes\npid =\nsyslog = no\n"
CLIENT = "[c]\nclient = yes\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\n"
SERVER = "[s]\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\ncert = CERT\n"
CA = "CAfile = CERT\n"

BOOLEANS = ("delay = YES", "delay = 1", "delay = true", "delay =", "reset = No", "client = maybe", "libwrap = no")
TIMES = ("TIMEOUTbusy = 0", "TIMEOUTbusy = +5", "TIMEOUTbusy = 010", "TIMEOUTbusy = 1.5", "TIMEOUTidle = 0x10")
VERIFY = tuple(f"verify = {level}\n{CA}" for level in ("0", "1", "2", "3", "4", "5", "-1", "none", "02"))
SECTION_LINES = (
    *("", "hello", "accept", "acept = 3", " = 3", "delay: yes", "delay\u00a0= yes", "\ufeffdelay = yes", "; c", "# c"),
    *("pid = /x", "foreground = yes", "syslog = no", "ACCEPT = 127.0.0.1:0", "[x", "[x] foo", "verify Chain = yes"),
    *BOOLEANS,
    *(*TIMES, "TIMEOUTbusy = x", "TIMEOUTbusy =", "TIMEOUTclose = 0", "TIMEOUTconnect = 10 s"),
    *("transparent = no", "transparent = yes", "transparent = foo", "transparent = NONE", "transparent = destination"),
    *("failover = RR", "failover = foo", "logId = process", "logId = Sequential", "logId = foo", "service = foo"),
    *("debug = 3", "debug = info", "debug = 9", "debug = local0.3", "local = 127.0.0.1", "socket = r:SO_KEEPALIVE=yes"),
    *("sslVersion = all", "sslVersion = ALL", "sslVersion = SSLv2", "sslVersion = tlsv1.2", "sslVersion = TLSv1.4"),
    *("sslVersionMin = TLSv1.3\nsslVersionMax = TLSv1.2", "sslVersion = TLSv1.2\nsslVersionMin = TLSv1.3"),
    *("sslVersionMin = TLSv1.3\nsslVersion = TLSv1.2", "sslVersion = TLSv1.2\nsslVersionMax = TLSv1.1"),
    *(
        "securityLevel = 0",
        "securityLevel = 6",
        "securityLevel = -1",
        "securityLevel = 02",
        "curves =",
        "curve = P-256",
    ),
    *("options = no_sslv3", "options = -NO_SSLv3", "options = FOO", "options =", "options = SSL_OP_NO_TICKET"),
    *("ciphers =", "ciphersuites =", "retry = no", "pty = no", "renegotiation = yes", "sessionResume = yes"),
    *("sessionCacheSize = 1000", "session = 300", "session = x", "OCSPaia = yes", "OCSPnonce = yes", "OCSPaia = 1",
    *("OCSP = http://127.0.0.1:1/x", "OCSPflag = NOTIME", "OCSPflag = nochain", "OCSPflag = FOO"), "stack = 65536"),
    *VERIFY,
    *("verify = 1", "verify = 2", "verify = 0", "verifyChain = yes", "verifyPeer = yes", "requireCert = yes"),
    *(f"verifyChain = yes\n{CA}", f"requireCert = no\n{CA}", "CAfile = nope", "CApath = nope", "checkHost = a"),
    *("checkIP = 192.0.2.1", "checkEmail = a@b", "verify = 0\ncheckHost = a", f"verify = 2\ncheckHost = a\n{CA}"),
    *(f"verifyChain = yes\ncheckIP = ::1\n{CA}", "connect = ::1:9", "connect = localhost:9", "connect = http"),
    *("connect = /run/nothing", "accept = 127.0.0.1:0", "accept = localhost:0"),
)
PROCESS_LINES = (
    *("debug = 8", "debug = -1", "debug = DAEMON.Info", "debug = local3.err", "debug = nofac.7", "debug = warn"),
    *("debug = 07", "debug = daemon.", "debug = .5", "debug = kern.5", "debug = syslog.5", "debug = security.5"),
    *("debug = err\ndebug = info", "debug = 5 ; hi", "foreground = maybe", "foreground = YES", "log = Append"),
    *("log = foo", "pid = a\npid =", "setuid = no-such-user", "setgid = no-such-group", "fips = no", "syslog = maybe"),
    *("RNDbytes = x", "RNDbytes = 1024", "RNDoverwrite = no", "RNDfile = /dev/urandom", "compression = foo"),
    *("service = x y", "include = /nonexistent", "include = CERT"),
    *("socket = a:SO_REUSEADDR=no", "socket = x:SO_REUSEADDR=no", "socket = a:FOO=no", "socket = a:SO_REUSEADDR"),
    *("socket = a:SO_LINGER=1:60", "socket = a:SO_LINGER=1", "socket = a:SO_LINGER=1:60:1", "socket = l:SO_RCVTIMEO=5"),
    *("socket = a:SO_BINDTODEVICE=lo", "socket = a:so_reuseaddr=yes", "socket = a:SO_REUSEADDR=1"),
    *("socket = a:SO_REUSEADDR=2", "socket = a:SO_REUSEADDR=maybe", "socket = A:SO_REUSEADDR=no"),
    *(
        "socket = a:SO_RCVBUF=abc",
        "socket = a:SO_RCVBUF=0x100",
        "socket = a: SO_REUSEADDR = yes",
        "socket = a:IP_TTL=64",
    ),
    *("socket = a:IP_FREEBIND=yes", "socket = l:TCP_KEEPIDLE=5", "socket = l:SO_ERROR=5", "socket = a:SO_RCVBUF= 4096"),
    *(
        "socket = a:SO_REUSEPORT=yes",
        f"socket = a:SO_BINDTODEVICE={'a' * 30}",
        "accept = 127.0.0.1:0",
        "exec",
        "foo = 1",
    ),
)
WHOLE = (
    SERVER.replace("cert = CERT\n", ""),
    SERVER.replace("cert = CERT", "key = CERT"),
    CLIENT + "key = CERT\n",
    "[x]\nclient = yes\nconnect = 9\n",
    "[x]\nclient = yes\naccept = 127.0.0.1:0\n",
    "[x]\nclient = yes\n",
    "[x]\nclient = yes\naccept = 127.0.0.1:0\ntransparent = destination\n",
    "[x]\nclient = yes\naccept = 127.0.0.1:0\ntransparent = both\n",
    "[x]\nclient = yes\ntransparent = destination\n",
    "client = yes\naccept = 127.0.0.1:0\nconnect = 9\n",
    "client = yes\naccept = 127.0.0.1:0\nconnect = 9\n[x]\n",
    "client = yes\n",
    "",
    CLIENT + CLIENT,
    CLIENT.replace("[c]", "  [ c d ]  "),
    CLIENT.replace("[c]", "[]"),
    CLIENT.replace("[c]", "[a]b]"),
    "[empty]\n" + CLIENT,
    CLIENT.replace("\n", "\r\n"),
    CLIENT.replace("\n", "\r"),
    CLIENT.replace(" = ", "\t=\t"),
    CLIENT.replace("\n", "\n  "),
    CLIENT.replace("c]", "é]"),
    CLIENT + "; " + "x" * 15000 + "\n",
    CLIENT + "; " + "x" * 20000 + "\n",
)
# We refuse, stunnel takes: each of them silently means something else than it says, or nothing.
DIFFERENCES = {
    CLIENT + "TIMEOUTidle = -1\n": "a negative timeout",
    CLIENT + "TIMEOUTidle = 99999999999\n": "overflows into another timeout",
    CLIENT + "connect = nowhere\n": "no such service; stunnel fails each connection later",
    CLIENT + "connect = 99999\n": "no such port; stunnel fails each connection later",
    CLIENT + "connect =\n": "no target; stunnel fails each connection later",
    CLIENT + "connect = 0\n": "no such port; stunnel fails each connection later",
    CLIENT + "accept = nowhere\n": "no such service; stunnel starts without that listener",
    CLIENT + f"verifyChain = yes\n{CA}checkIP = foo\n": "no address; no certificate would ever match",
    CLIENT.replace("yes", "yes\0junk"): "a NUL, after which stunnel does not look",
    CLIENT + "sslVersionMax = SSLv3\n": "no version is left: our oldest is TLSv1",
    "socket = a:SO_RCVBUF=9999999999\n" + CLIENT: "overflows into another size",
    "socket = a:SO_RCVBUF=\n" + CLIENT: "no size, read as 0",
    "socket = a:SO_LINGER=:\n" + CLIENT: "no numbers, read as 0",
}


class Verdict(NamedTuple):
    """Whether a configuration was taken, and what was said about it."""

    taken: bool
    said: str


def theirs(path: Path) -> Verdict:
    """What stunnel4 makes of a file; it is stopped as soon as it has made up its mind.

    With a log level that is quieter than the good news, running on is the answer.
    """
    said: list[str] = []
    with subprocess.Popen(
        ["stunnel4", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        patience = threading.Timer(PATIENCE, process.kill)
        patience.start()
        for line in process.stdout:
            said.append(line)
            if "Configuration successful" in line:
                process.kill()
        # stunnel crashes on some texts (`debug = daemon.`): that is no approval.
        killed = process.wait() == -signal.SIGKILL
        patience.cancel()
    return Verdict(killed, "".join(said))


def ours(text: str) -> Verdict:
    """What we make of a text."""
    try:
        parse_text(text)
    except ConfigError as error:
        return Verdict(False, str(error))
    return Verdict(True, "")


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("oracle") / "cert.pem"
    command = ["openssl", "req", "-new", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=x", "-keyout", "-"]
    made = subprocess.run([*command, "-days", "30"], capture_output=True, check=True).stdout
    path.write_bytes(made)
    path.chmod(0o600)
    return path


def compare(texts: list[str], cert: Path) -> list[tuple[str, Verdict, Verdict]]:
    """Both verdicts on each of `texts`."""
    written = []
    for number, text in enumerate(texts):
        path = cert.with_name(f"{number}.conf")
        path.write_bytes(text.encode())
        written.append(path)
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(theirs, written))
    return [(text, verdict, ours(text)) for text, verdict in zip(texts, verdicts, strict=True)]


def test_both_take_the_same_configurations(cert: Path) -> None:
    texts = [base + line + "\n" for line in SECTION_LINES for base in (CLIENT, SERVER)]
    texts += [line + "\n" + CLIENT for line in PROCESS_LINES]
    texts = [PROCESS + text.replace("CERT", str(cert)) for text in (*texts, *WHOLE)]
    differ = [
        f"{text}\n--- stunnel4: {their.said}\n--- gtunnel: {our.said}"
        for text, their, our in compare(texts, cert)
        if their.taken != our.taken
    ]
    assert not differ, "\n=====\n".join(differ)


def test_what_we_are_stricter_with_is_known(cert: Path) -> None:
    texts = [PROCESS + text.replace("CERT", str(cert)) for text in DIFFERENCES]
    for text, their, our in compare(texts, cert):
        assert their.taken, f"stunnel4 is as strict now: {text}\n{their.said}"
        assert not our.taken, text


def test_reasons_are_worded_as_in_stunnel(cert: Path) -> None:
    worded = {
        CLIENT + "acept = 3\n": "Specified option name is not valid here",
        CLIENT + "accept\n": "No '=' found",
        CLIENT + "delay = 1\n": "The argument needs to be either 'yes' or 'no'",
        CLIENT + "failover = x\n": "The argument needs to be either 'rr' or 'prio'",
        "foreground = x\n" + CLIENT: "The argument needs to be either 'yes', 'quiet' or 'no'",
        CLIENT + "debug = 9\n": "Illegal debug level",
        "debug = x.5\n" + CLIENT: "Illegal syslog facility",
        CLIENT + "options = x\n": "Illegal TLS option",
        CLIENT + "socket = x\n": "Illegal socket option",
        CLIENT + "verify = 5\n": "Bad verify level",
        CLIENT + "checkHost = a\n": 'Either "verifyChain" or "verifyPeer" has to be enabled',
        CLIENT + "logId = x\n": "Invalid connection identifier type",
        CLIENT + "sslVersion = x\n": "Invalid protocol version",
        CLIENT + "sslVersionMin = TLSv1.3\nsslVersionMax = TLSv1.2\n": "Invalid protocol version range",
        CLIENT + "securityLevel = 9\n": "Illegal security level",
        CLIENT + "transparent = x\n": "Selected transparent proxy mode is not available",
        "[x]\nclient = yes\n": "Each service must define two endpoints",
        "[x]\naccept = 127.0.0.1:0\nconnect = 9\n": "TLS server needs a certificate",
    }
    verdicts = compare([PROCESS + text for text in worded], cert)
    for reason, (text, their, our) in zip(worded.values(), verdicts, strict=True):
        assert reason in their.said, text
        assert reason in our.said, text
