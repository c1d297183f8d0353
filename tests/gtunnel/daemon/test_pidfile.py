"""The pid file: written, safe in a directory that others write to, and gone at the end."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.daemon.pidfile import PidFile, PidFileError
from gtunnel.daemon.privileges import Identity

NOBODY = Identity(None, None)


def test_it_holds_our_id_while_we_run(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    ours = PidFile(str(file), NOBODY)
    assert file.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 & ~_umask()
    ours.remove()
    assert not file.exists()
    ours.remove()


def test_an_old_one_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    file.write_text("123456789 and more than we write")
    PidFile(str(file), NOBODY)
    assert file.read_text() == f"{os.getpid()}\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "pid"
    victim.write_text("precious")
    file.symlink_to(victim)
    with pytest.raises(PidFileError, match=re.escape(f"Cannot create pid file {file}: ")):
        PidFile(str(file), NOBODY)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["none/pid", "."])
def test_where_it_cannot_be_written_it_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with pytest.raises(PidFileError, match=re.escape(f"Cannot create pid file {file}: ")):
        PidFile(str(file), NOBODY)


@pytest.mark.root
def test_it_belongs_to_whom_we_become_and_is_emptied_where_it_cannot_be_removed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    file = tmp_path / "pid"
    script = (
        "import sys; from gtunnel.daemon.pidfile import PidFile; from gtunnel.daemon.privileges import *\n"
        "who = Identity(65534, 65534); file = PidFile(sys.argv[1], who); become(who); file.remove()"
    )
    subprocess.run([sys.executable, "-c", script, file], check=True)
    assert (file.stat().st_uid, file.stat().st_gid) == (65534, 65534)
    assert file.read_text() == ""


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def test_one_that_another_instance_has_written_since_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    ours = PidFile(str(file), NOBODY)
    file.write_text("1\n")
    ours.remove()
    assert file.read_text() == "1\n"
