"""stunnel 3's command line becomes the configuration that Debian's stunnel3 makes of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gtunnel.cli import stunnel3
from gtunnel.conf.errors import ConfigError
from gtunnel.errors import UsageError

Capture = pytest.CaptureFixture[str]
LINES = (
    "-p /etc/stunnel.pem -d 9002 -r 25",
    "-c -d 1000 -r 192.168.77.1:9002",
    "-cd 1000 -r9002",
    "-cfTWd1000 -r 2",
    "-c -D 7 -D debug -r 1",
    "-d 993 -p c.pem -l /usr/sbin/imapd",
    "-d 993 -p c.pem -l /usr/sbin/imapd -- imapd -v",
    "-d 993 -p c.pem -l /usr/sbin/imapd imapd -v",
    "-d 2020 -p c.pem -L /usr/sbin/pppd -- pppd local",
    "-L /bin/sh -l /bin/cat -p c.pem",
    "-c -v 3 -a /etc/ssl/certs -A ca.pem -C HIGH -t 60 -N name -n smtp -r mail:25",
    "-R seed -B 64 -I 127.0.0.1 -u nobody -s nobody -g nogroup -P /run/x.pid -o log -O l:SO_LINGER=1:60 -d 1 -r 2",
    "-c -r host:1",
    "-E /dev/null -c -r 1",
)


def text(arguments: list[str]) -> str:
    return "".join(f"{line}\n" for _, line in stunnel3.configuration(arguments))


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's stunnel3, with something that shows the configuration in the place of stunnel4."""
    found = shutil.which("stunnel3")
    if found is None:
        pytest.skip("stunnel3 is not installed")
    directory = tmp_path_factory.mktemp("stunnel3")
    shower = directory / "show"
    # Its standard input is what -fd names.
    shower.write_text('#!/bin/sh\nexec cat <"/proc/self/fd/$2"\n')
    shower.chmod(0o755)
    script = directory / "stunnel3"
    script.write_text(Path(found).read_text().replace("'/usr/bin/stunnel4'", f"'{shower}'"))
    return script


@pytest.mark.parametrize("line", LINES)
def test_it_is_debian_s(debian: Path, line: str) -> None:
    done = subprocess.run(["perl", str(debian), *line.split()], capture_output=True, text=True, check=True)
    assert text(line.split()) == done.stdout


def test_the_book_s_server_and_client_are_services() -> None:
    server = stunnel3.load(stunnel3.configuration(["-p", "cert.pem", "-d", "9002", "-r", "25"]))
    client = stunnel3.load(stunnel3.configuration(["-c", "-d", "1000", "-r", "192.168.77.1:9002"]))
    assert not server.services[0].client
    assert client.services[0].client
    assert (server.inetd, client.inetd) == (False, False)
    assert client.services[0].name == "stunnel3"


def test_without_a_port_to_listen_on_it_is_inetd_mode() -> None:
    assert stunnel3.load(stunnel3.configuration(["-cr", "25"])).inetd


def test_complaints_name_the_letter() -> None:
    with pytest.raises(ConfigError) as caught:
        stunnel3.load(stunnel3.configuration(["-c", "-d", "1", "-r", "2", "-v", "9"]))
    assert str(caught.value).startswith('option -v: "verify = 9": ')
    with pytest.raises(ConfigError) as caught:
        stunnel3.load(stunnel3.configuration(["-c"]))
    assert str(caught.value).startswith("the command line: Inetd mode: ")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("-x", "there is no option -x"),
        ("-cxd 1", "there is no option -x"),
        ("-d", "option -d needs a value"),
        ("-c word", "'word' belongs to no option"),
        ("-c -r 1 -- more", "'more' belongs to no option"),
    ],
)
def test_what_stunnel3_drops_silently_is_refused(line: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        stunnel3.configuration(line.split())


def test_a_value_cannot_begin_another_line() -> None:
    with pytest.raises(UsageError, match="-r: a value is one line"):
        stunnel3.configuration(["-r", "1\nexec = /bin/sh"])


def test_help_and_version(capsys: Capture) -> None:
    assert stunnel3.main(["--help"]) == 0
    assert capsys.readouterr().out == stunnel3.USAGE
    assert stunnel3.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gtunnel ")
    assert stunnel3.main([]) == 1
    assert "usage: gtunnel3" in capsys.readouterr().err
    assert stunnel3.main(["-x"]) == 1
    assert capsys.readouterr().err.startswith("[!] there is no option -x")


def test_help_names_every_letter() -> None:
    for letter in (*stunnel3.FLAGS, *stunnel3.VALUES, "l", "L"):
        assert f"  -{letter}  " in stunnel3.USAGE
