import os
import random
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtunnel.conf.errors import ConfigError
from gtunnel.conf.load import load_fd, load_file, parse_text
from gtunnel.conf.option import BadValueError
from gtunnel.conf.settings import Configuration
from gtunnel.conf.table import TABLE
from tests.gtunnel.conf.samples import CLIENT, GATEWAY, SERVER, configuration, problems, reasons

# Written as administrators write it: every option that works, comments, old spellings, defaults, several services.
WHOLE = """\
; a gateway and two tunnels
# and another kind of comment

setuid = root
pid = /run/gtunnel.pid
debug = daemon.info
foreground = quiet
output = /var/log/gtunnel.log
socket = l:TCP_NODELAY=1
workers = auto
netMark = 0x100/0xff00

; defaults of the services
options = NO_TLSv1
options = -NO_SSLv3
TIMEOUTclose = 0

[pop3]
client = yes
accept  = 127.0.0.1:110
connect = pop.example.com:995
verifyChain = yes
CApath = /etc/ssl/certs
checkHost = pop.example.com
OCSPaia = no

[https]
accept = 443
accept = :::443
connect = 80
connect = /run/web.sock
cert = /etc/gtunnel/web.pem
verify = 2
CAfile = /etc/gtunnel/ca.pem
sslVersionMin = TLSv1.2
failover = rr

[gateway]
client = yes
accept = 3129
transparent = both
capture = 80,8080-8089
captureInterface = eth1
captureFrom = 192.0.2.0/24
verify = 4
CAfile = /etc/gtunnel/peer.pem
"""


def attempt(text: str | bytes) -> Configuration | ConfigError:
    """Read; whatever happens has to be one of the two."""
    result: Configuration | ConfigError
    try:
        result = parse_text(text, "f")
    except ConfigError as error:
        result = error
    assert isinstance(result, Configuration) or all(str(problem) for problem in result.problems)
    return result


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "t.conf"
    path.write_text(WHOLE)
    found = load_file(str(path))
    assert [service.name for service in found.services] == ["pop3", "https", "gateway"]
    assert found.file == str(path)
    assert found.services[1].tls.options[-2:] == (("NO_TLSv1", True), ("NO_SSLv3", False))


def test_a_descriptor_is_loaded_and_named() -> None:
    reading, writing = os.pipe()
    os.write(writing, CLIENT.encode() + b"foo = 1\n")
    os.close(writing)
    with pytest.raises(ConfigError, match=rf'^fd {reading}:5: "foo = 1": '):
        load_fd(reading)
    os.close(reading)


@pytest.mark.parametrize("path", ["/nonexistent/x", "/", "", "a\0b"])
def test_a_file_that_cannot_be_read_is_told(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration: "):
        load_file(path)


def test_a_descriptor_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^fd 99999: cannot read the configuration: Bad file descriptor$"):
        load_fd(99999)


@pytest.mark.parametrize("text", ["", "; nothing\n", "debug = 7\n", "client = yes\n"])
def test_without_a_section_there_has_to_be_somewhere_to_go(text: str) -> None:
    hint = "(there is no [section], and neither connect nor exec)"
    assert reasons(text)[0] == f"t.conf: Inetd mode: Inetd mode must define one endpoint {hint}"


def test_without_a_section_there_is_one_way_only() -> None:
    (reason,) = reasons("client = yes\nconnect = 1\nexec = /bin/cat\n")
    assert "Inetd mode must define one endpoint (remove exec, or connect)" in reason


@pytest.mark.parametrize("text", ["client = yes\nconnect = 1", "cert = c\nexec = /x", "cert = c\nprotocol = socks"])
def test_inetd_mode_is_a_service_without_a_section(text: str) -> None:
    found = configuration(text)
    (service,) = found.services
    assert found.inetd
    assert service.inetd
    assert (service.name, service.accept) == ("stunnel", ())
    assert not service.connects_program


def test_the_service_of_inetd_mode_has_the_process_s_name() -> None:
    assert configuration("service = imaps\nclient = yes\nconnect = 1\n").services[0].name == "imaps"


def test_inetd_mode_needs_a_certificate_as_any_server() -> None:
    (reason,) = reasons("connect = 1\n")
    assert reason.startswith("t.conf: Inetd mode: TLS server needs a certificate")


def test_a_section_makes_a_daemon() -> None:
    assert not configuration("[c]\nclient = yes\naccept = 1\nconnect = 2\n").inetd


def test_accept_makes_no_inetd_mode() -> None:
    (reason,) = reasons("client = yes\naccept = 1\nconnect = 2\n")
    assert "Inetd mode: 'accept' option is only allowed in a [section]" in reason


def test_problems_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("bad2 = 1\n")
    found = problems(f"bad1 = 1\ninclude = {tmp_path}\n[x]\nclient = yes\nbad3 = 1\n")
    assert [problem.place.line for problem in found] == [1, 3, 5, 1]
    assert found[-1].place.file == f"{tmp_path}/a"


def test_a_configuration_in_another_encoding_is_one_problem() -> None:
    assert reasons(CLIENT.encode("utf-16"))[0] == "t.conf: the file is in UTF-16; UTF-8 is needed"


@pytest.mark.parametrize("text", [WHOLE, CLIENT, SERVER, GATEWAY])
def test_line_ends_and_byte_order_marks_make_no_difference(text: str) -> None:
    plain = parse_text(text)
    assert parse_text(text.replace("\n", "\r\n")) == plain
    assert parse_text(b"\xef\xbb\xbf" + text.encode()) == plain
    assert parse_text(text.replace(" = ", "\t=")) == plain
    assert parse_text(text.rstrip("\n")) == plain


def test_the_case_of_names_makes_no_difference() -> None:
    def shout(line: str) -> str:
        name, equals, value = line.partition("=")
        return name.upper() + equals + value if equals else line

    assert parse_text("\n".join(shout(line) for line in WHOLE.split("\n"))) == parse_text(WHOLE)


@given(st.text())
def test_any_text_is_accepted_or_refused(text: str) -> None:
    attempt(text)


@given(st.binary())
def test_any_bytes_are_accepted_or_refused(data: bytes) -> None:
    attempt(data)


NAMES = sorted({name for row in TABLE for name in row.names} - {"include"})
WORDS = [
    "yes",
    "no",
    "1",
    "0",
    "5",
    "both",
    "host:5",
    "::1",
    "/run/x",
    "a:SO_LINGER=1:2",
    "0x1/0xff",
    "",
    "TLSv1.2",
    "é",
    "80-90",
]
VALUES = st.one_of(st.sampled_from(WORDS), st.text(st.characters(codec="utf-8"), max_size=12))
ASSIGNMENTS = st.builds("{} = {}".format, st.sampled_from(NAMES), VALUES)
LINES = st.one_of(ASSIGNMENTS, st.sampled_from(["[a]", "[b]", "; c", "", CLIENT, SERVER, GATEWAY]))


@settings(max_examples=300)
@given(st.lists(LINES, max_size=12))
def test_what_looks_like_a_configuration_is_accepted_or_refused(lines: list[str]) -> None:
    text = "\n".join(lines)
    result = attempt(text)
    if isinstance(result, Configuration) and "\r" not in text:
        assert attempt(text.replace("\n", "\r\n")) == result
        assert attempt("\ufeff" + text) == result


@settings(max_examples=300)
@given(st.sampled_from(TABLE), VALUES)
def test_every_parser_fails_in_one_way(row: object, value: str) -> None:
    (row,) = [one for one in TABLE if one is row]
    with suppress(BadValueError):
        row.read(value)


def test_mutated_configurations_are_accepted_or_refused() -> None:
    chance = random.Random(2015)
    alphabet = (string.printable + "\0\xff\ufeff\u2028=;#[]-").encode()
    accepted = 0
    for _ in range(1500):
        data = bytearray(WHOLE.encode())
        for _ in range(chance.choice((1, 1, 2, 5))):
            at, count = chance.randrange(len(data)), chance.choice((0, 1, 1, 3, 40))
            data[at : at + count] = bytes(chance.choices(alphabet, k=chance.choice((0, 1, 1, 3))))
        # Not the file system's content: only the text is under test.
        accepted += isinstance(attempt(bytes(data).replace(b"include", b"")), Configuration)
    # Most mutations hit comments or change a name: both outcomes have to come up, or nothing was tested.
    assert 50 < accepted < 1450


def test_lines_taken_out_or_swapped_are_accepted_or_refused() -> None:
    chance = random.Random(8)
    lines = WHOLE.split("\n")
    for _ in range(300):
        attempt("\n".join(chance.sample(lines, chance.randrange(len(lines)))))


def test_a_big_configuration_is_read_in_time() -> None:
    text = "client = yes\nconnect = 1\n" + "".join(
        f"[s{n}]\naccept = 10.0.{n % 250}.{n // 250}:80\n" for n in range(5000)
    )
    assert len(parse_text(text).services) == 5000


SECRETS = f"ticketKeySecret = {'0' * 32}\nticketMacSecret = {'0' * 32}\n"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (CLIENT + SECRETS, "'ticketKeySecret' has no effect in client mode"),
        (CLIENT + SECRETS, "'ticketMacSecret' has no effect in client mode"),
        (CLIENT + "sessiond = host:1", "'sessiond' has no effect in client mode"),
        (SERVER + "PSKidentity = me", "'PSKidentity' has no effect in server mode"),
    ],
)
def test_what_has_no_effect_is_noted(text: str, note: str) -> None:
    assert any(note in one for one in parse_text(text).notes)


def test_a_default_for_all_services_is_not() -> None:
    assert parse_text("sessiond = host:1\nPSKidentity = me\n" + CLIENT + SERVER).notes == ()
