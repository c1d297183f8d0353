"""Giving up root, and that nothing of it is left. In processes of their own: there is no way back."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.conf.settings import ProcessSettings
from gtunnel.daemon.privileges import Identity, PrivilegeError, enter_root, look_up
from tests.support.tunnels import ROOT

NOBODY = pwd.getpwnam("nobody")

BECOME = """
import json, os, sys
from gtunnel.daemon.privileges import Identity, become
os.setgroups([0, 4, 24])
become(Identity(*json.loads(sys.argv[1])))
back = []
for call in (os.setuid, os.seteuid):
    try:
        call(0)
        back.append(call.__name__)
    except OSError:
        pass
print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), back]))
"""


def settings(user: str | None = None, group: str | None = None) -> ProcessSettings:
    """What the configuration says."""
    return ProcessSettings(chroot=None, user=user, group=group, pid_file=None, workers=None)


def became(user: int | None, group: int | None) -> list[object]:
    """Real, effective and saved user and group, further groups, and the ways back to root."""
    argv = [sys.executable, "-c", BECOME, json.dumps([user, group])]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    result: list[object] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("user", "group", "found"),
    [
        (None, None, (None, None)),
        ("nobody", None, (NOBODY.pw_uid, NOBODY.pw_gid)),
        ("nobody", "daemon", (NOBODY.pw_uid, 1)),
        (None, "daemon", (None, 1)),
        (str(NOBODY.pw_uid), None, (NOBODY.pw_uid, NOBODY.pw_gid)),
        ("54321", None, (54321, None)),
        ("54321", "54322", (54321, 54322)),
        ("root", None, (0, 0)),
    ],
)
def test_names_and_numbers(user: str | None, group: str | None, found: tuple[int | None, int | None]) -> None:
    assert look_up(settings(user, group)) == Identity(*found)


@pytest.mark.parametrize(
    ("user", "group", "text"),
    [
        ("no-such-user", None, "setuid = no-such-user: no such user"),
        (None, "no-such-group", "setgid = no-such-group: no such group"),
    ],
)
def test_who_is_not_there_is_named(user: str | None, group: str | None, text: str) -> None:
    with pytest.raises(PrivilegeError) as caught:
        look_up(settings(user, group))
    assert str(caught.value) == text


@pytest.mark.root
def test_user_and_group_are_changed_for_good() -> None:
    assert became(65534, 65534) == [[65534] * 3, [65534] * 3, [65534], []]


@pytest.mark.root
def test_a_user_without_a_group_keeps_no_further_groups() -> None:
    assert became(54321, None) == [[54321] * 3, [0] * 3, [], []]


@pytest.mark.root
def test_a_group_alone_clears_the_others() -> None:
    ids, groups, further, back = became(None, 54321)
    assert (ids, groups, further) == ([0] * 3, [54321] * 3, [54321])
    assert back == ["setuid", "seteuid"]


def test_nobody_to_become_changes_nothing() -> None:
    argv = [sys.executable, "-c", "from gtunnel.daemon.privileges import *; become(Identity(None, None))"]
    subprocess.run(argv, check=True)


@pytest.mark.root
@pytest.mark.parametrize("identity", ["1, 1", "1, None", "None, 1"])
def test_who_may_not_is_told_which_option(identity: str) -> None:
    script = f"""
from gtunnel.daemon.privileges import Identity, PrivilegeError, become
become(Identity(65534, 65534))
try:
    become(Identity({identity}))
except PrivilegeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("setgid = " if identity != "1, None" else "set")
    assert done.stdout.endswith(": Operation not permitted\n")


@pytest.mark.root
def test_a_chroot_is_entered_and_stood_in(tmp_path: Path) -> None:
    (tmp_path / "inside").touch()
    script = "import os, sys; from gtunnel.daemon.privileges import *; enter_root(sys.argv[1])\n"
    script += "print(os.listdir('/'), os.listdir('.'), os.getcwd())"
    done = subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True)
    assert done.stdout == "['inside'] ['inside'] /\n"


def test_a_chroot_that_is_not_there_is_named() -> None:
    with pytest.raises(PrivilegeError) as caught:
        enter_root("/no/such/directory")
    reason = "No such file or directory"
    assert str(caught.value) == f"chroot = /no/such/directory: {reason}"
    assert os.listdir("/") != []  # noqa: PTH208


RIGHTS = """
import subprocess, sys
from gtunnel.daemon.privileges import Identity, become
become(Identity(None, None))
print(next(line for line in open("/proc/self/status") if line.startswith("CapEff")).split()[1])
print(subprocess.check_output(["grep", "CapEff", "/proc/self/status"], text=True).split()[1])
"""


@pytest.mark.root
def test_rights_that_a_service_manager_gave_are_not_handed_on_to_programs(tmp_path: Path) -> None:
    argv = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--inh-caps", "-all,+net_admin"]
    argv += ["--ambient-caps", "-all,+net_admin", "/usr/bin/python3", "-c", RIGHTS]
    # Where everybody may read it, unlike perhaps the source itself.
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    shutil.copytree(ROOT / "gtunnel", tmp_path / "gtunnel")
    done = subprocess.run(argv, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0000000000001000", "0000000000000000"]
