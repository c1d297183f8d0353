"""`gtunnel check`: would it run, and is it safe? All that is wrong is said at once."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gtunnel.cli.commands import Answer, ask, good
from tests.support.certificates import Pki
from tests.support.tunnels import ROOT

CHECK_AS_ROOT_AND_AS_NOBODY = """
import os, sys
from gtunnel.cli.main import main
assert main(["check", sys.argv[1]]) == 0
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main(["check", sys.argv[1]]))
"""
Capture = pytest.CaptureFixture[str]


def test_a_safe_configuration(capsys: Capture, pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path, f"CAfile = {pki.client.cert}\nverifyPeer = yes\n")
    answer = ask(capsys, "check", file)
    assert (answer.status, answer.err) == (0, "")
    here, summary = answer.out.splitlines()
    assert here.startswith("here: OpenSSL ")
    assert summary == f"file {file}: would run, with no warnings; services: web"


def test_what_is_unsafe_is_warned_of_with_its_place_and_does_run(capsys: Capture, pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path)
    with file.open("a") as more:
        more.write("[out]\nclient = yes\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\n")
    answer = ask(capsys, "check", file)
    assert (answer.status, answer.err) == (0, "")
    _, *warnings, summary = answer.out.splitlines()
    assert any(line.startswith(f"warning: {file}:") and "[out]" in line for line in warnings)
    assert (
        summary
        == f"file {file}: would run, with {len(warnings)} warning{'s' * (len(warnings) > 1)}; services: web, out"
    )


def test_a_key_that_others_can_read_is_warned_of(capsys: Capture, pki: Pki, tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(pki.server.key.read_bytes())
    key.chmod(0o644)
    answer = ask(capsys, "check", good(pki, tmp_path, f"key = {key}\n"))
    assert answer.status == 0
    assert str(key) in answer.out


def test_all_errors_of_the_file_are_told_together(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "bad.conf"
    file.write_text(
        "foregroundd = yes\n[a]\naccept = x:y:z\nconnect = 1\n[b]\nclient = maybe\naccept = 1\nconnect = 2\n"
    )
    answer = ask(capsys, "check", file)
    assert (answer.status, answer.out) == (1, "")
    lines = answer.err.splitlines()
    for line in (1, 3, 6):
        assert any(f"error: {file}:{line}: " in found for found in lines)
    assert lines[-1] == f"file {file}: would not run: {len(lines) - 1} errors"


def test_all_services_whose_files_do_not_load_are_told_together(capsys: Capture, pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path, "ciphers = NONE\n")
    with file.open("a") as more:
        more.write(f"[two]\ncert = {tmp_path}/none.pem\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\n")
    answer = ask(capsys, "check", file)
    assert answer.status == 1
    assert answer.err.splitlines() == [
        f'error: {file}:10: "ciphers = NONE": Service [web]: SSL routines::no cipher match',
        f'error: {file}:12: "cert = {tmp_path}/none.pem": Service [two]: No such file or directory',
        f"file {file}: would not run: 2 errors",
    ]


def test_one_error_is_counted_as_one(capsys: Capture) -> None:
    answer = ask(capsys, "check", "/no/such.conf")
    assert answer.status == 1
    assert answer.err.splitlines() == [
        "error: /no/such.conf: cannot read the configuration: No such file or directory",
        "file /no/such.conf: would not run: 1 error",
    ]


@pytest.mark.root
def test_a_key_that_we_may_not_read_is_named(pki: Pki, tmp_path: Path) -> None:
    for parent in (*tmp_path.parents[:3], tmp_path):
        parent.chmod(parent.stat().st_mode | 0o111)
    cert = tmp_path / "cert.pem"
    cert.write_bytes(pki.server.cert.read_bytes())
    cert.chmod(0o644)
    key = tmp_path / "key.pem"
    key.write_bytes(pki.server.key.read_bytes())
    key.chmod(0o600)
    file = good(pki, tmp_path)
    file.write_text(file.read_text().replace(str(pki.server.cert), str(cert)).replace(str(pki.server.key), str(key)))
    file.chmod(0o644)
    # Once as root, so that all is loaded: nobody may not read this interpreter, perhaps.
    argv: list[str | Path] = [sys.executable, "-c", CHECK_AS_ROOT_AND_AS_NOBODY, file]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "would run" in done.stdout
    assert done.returncode == 1
    assert f'error: {file}:7: "key = {key}": Service [web]: Permission denied\n' in done.stderr


def test_nothing_is_bound(capsys: Capture, pki: Pki, tmp_path: Path, free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        file = good(pki, tmp_path, f"accept = 127.0.0.1:{taken.getsockname()[1]}\naccept = {tmp_path}/sock\n")
        assert ask(capsys, "check", file).status == 0
    assert not (tmp_path / "sock").exists()


def checked(capsys: Capture, tmp_path: Path, text: str) -> Answer:
    """Check client services, with line 4 as the first of `text`; the file's name is cut off."""
    file = tmp_path / "x.conf"
    file.write_text(f"foreground = yes\nclient = yes\n\n{text}")
    answer = ask(capsys, "check", file)
    return Answer(answer.status, *(said.replace(str(file), "x.conf") for said in (answer.out, answer.err)))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("accept = nohost.invalid:25", "Error resolving 'nohost.invalid': "),
        ("accept = /nonexistent/sock", "there is no directory /nonexistent"),
        ("accept = /etc/passwd", "there is something else in the place of the socket"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_an_error(
    capsys: Capture, tmp_path: Path, lines: str, reason: str
) -> None:
    answer = checked(capsys, tmp_path, f"[x]\n{lines}\nconnect = 1\n")
    assert answer.status == 1
    assert answer.err.startswith(f'error: x.conf:5: "{lines}": Service [x]: {reason}')


def test_a_service_that_has_an_address_left_runs_with_a_warning(capsys: Capture, tmp_path: Path) -> None:
    answer = checked(capsys, tmp_path, "[x]\naccept = /nonexistent/sock\naccept = 127.0.0.1:0\nconnect = 1\n")
    assert (answer.status, answer.err) == (0, "")
    assert 'warning: x.conf:5: "accept = /nonexistent/sock": Service [x]: there is no directory' in answer.out


@pytest.mark.parametrize(
    ("one", "other"),
    [("127.0.0.1:18443", "18443"), ("18443", "127.0.0.1:18443"), (":::18443", "::1:18443"), ("18443", "0.0.0.0:18443")],
)
def test_all_addresses_and_one_of_them_exclude_each_other(
    capsys: Capture, tmp_path: Path, one: str, other: str
) -> None:
    answer = checked(capsys, tmp_path, f"[x]\naccept = {one}\nconnect = 1\n[y]\naccept = {other}\nconnect = 1\n")
    assert answer.status == 1
    error = f'error: x.conf:8: "accept = {other}": Service [y]: Binding would fail: service [x] accepts on '
    assert answer.err.startswith(error)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:18443", "127.0.0.2:18443"),
        ("127.0.0.1:18443", "18444"),
        ("18443", "::1:18443"),
        ("18443\nsocket = a:SO_BINDTODEVICE=lo", "18443\nsocket = a:SO_BINDTODEVICE=eth0"),
        ("0", "127.0.0.1:0"),
    ],
)
def test_addresses_that_do_not_meet_are_free(capsys: Capture, tmp_path: Path, one: str, other: str) -> None:
    answer = checked(capsys, tmp_path, f"[x]\naccept = {one}\nconnect = 1\n[y]\naccept = {other}\nconnect = 1\n")
    assert (answer.status, answer.err) == (0, "")


def test_a_source_address_that_does_not_resolve_is_an_error(capsys: Capture, tmp_path: Path) -> None:
    answer = checked(capsys, tmp_path, "[x]\naccept = 0\nconnect = 1\nlocal = nohost.invalid\n")
    assert answer.status == 1
    assert answer.err.startswith('error: x.conf:7: "local = nohost.invalid": Service [x]: Error resolving')


def test_a_target_that_does_not_resolve_is_a_warning(capsys: Capture, tmp_path: Path) -> None:
    answer = checked(capsys, tmp_path, "[x]\naccept = 0\nconnect = nohost.invalid:25\n")
    assert (answer.status, answer.err) == (0, "")
    assert 'warning: x.conf:6: "connect = nohost.invalid:25": Service [x]: Error resolving' in answer.out
    assert "the lookup is delayed until a connection needs it" in answer.out


@pytest.mark.parametrize(
    "lines",
    ["transparent = source\nconnect = 1\n", "transparent = both\n", "transparent = destination\ncapture = 80\n"],
)
def test_rights_that_setuid_takes_away_are_an_error_besides_others(capsys: Capture, tmp_path: Path, lines: str) -> None:
    lines += "captureLocal = yes\n" if "capture" in lines else ""
    answer = checked(capsys, tmp_path, f"setuid = nobody\n[x]\naccept = 18443\ncert = /none\n{lines}")
    assert answer.status == 1
    rights, cert, summary = answer.err.splitlines()
    assert rights.startswith("error: x.conf:5: Service [x]: ")
    assert "needs root" in rights
    assert cert == 'error: x.conf:7: "cert = /none": Service [x]: No such file or directory'
    assert summary.endswith("would not run: 2 errors")


def test_a_remark_is_no_warning(capsys: Capture, pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path, f"CAfile = {pki.client.cert}\nverifyChain = yes\n")
    answer = ask(capsys, "check", file)
    _, remark, summary = answer.out.splitlines()
    assert remark.startswith(f"remark: {file}:5: Service [web]: every client with a certificate of the trusted CAs")
    assert summary == f"file {file}: would run, with no warnings; services: web"
