"""`gtunnel check`: would it run, and is it safe? All that is wrong is said at once."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gtunnel.cli.commands import ask, good
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
    assert answer.out == f"file {file}: would run, with no warnings; services: web\n"


def test_what_is_unsafe_is_warned_of_with_its_place_and_does_run(capsys: Capture, pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path)
    with file.open("a") as more:
        more.write("[out]\nclient = yes\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\n")
    answer = ask(capsys, "check", file)
    assert (answer.status, answer.err) == (0, "")
    *warnings, summary = answer.out.splitlines()
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
        f"error: {file}:5: Service [web]: ciphers = NONE: SSL routines::no cipher match",
        f"error: {file}:11: Service [two]: {tmp_path}/none.pem: No such file or directory",
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
    assert f"error: {file}:5: Service [web]: {key}: Permission denied\n" in done.stderr


def test_nothing_is_bound(capsys: Capture, pki: Pki, tmp_path: Path, free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        file = good(pki, tmp_path, f"accept = 127.0.0.1:{taken.getsockname()[1]}\naccept = {tmp_path}/sock\n")
        assert ask(capsys, "check", file).status == 0
    assert not (tmp_path / "sock").exists()
