"""Network namespaces through iproute2's `ip`: named below /run/netns, as `ip netns` itself does it.

A namespace of ours is known by the alias of its loopback interface. The mark is thus kept by the kernel, inside the
very thing that it marks, and goes when that goes: no state on disk, nothing to get out of step after a crash.
It is set before the namespace gets its name, so there is no moment at which one of ours could be taken for another's,
not even if its maker is killed.

Only one thing can be left without a mark: a `stub`. A name is an empty file that the namespace is mounted on. Who is
killed between these two steps, or between unmount and unlink, leaves the file.
"""

import json
import os
import shlex
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from netsetup.lab.errors import CommandFailedError
from netsetup.lab.programs import find_program, search_path
from netsetup.lab.signals import spared

RUN_NETNS = Path("/run/netns")
# Who has the programs that we call.
PACKAGES = {"ip": "iproute2", "unshare": "util-linux"}
# `ip` answers in milliseconds; one that hangs for this long never comes back.
COMMAND_TIMEOUT = 10.0


def ip(*arguments: str, batch: Sequence[str] = ()) -> str:
    """Run `ip` and return its output. `batch` lines go through `-batch`, all or until the first that fails.

    Raises `CommandFailedError` with what `ip` said.
    """
    argv = ["ip", *arguments, *(["-batch", "-"] if batch else [])]
    return _run(argv, "".join(line + "\n" for line in batch))


def exists(namespace: str) -> bool:
    """Whether a namespace of this name is there, whoever made it."""
    return (RUN_NETNS / namespace).exists()


def create(namespace: str, mark: str) -> None:
    """Make a namespace that is marked as ours. One that exists already is an error and stays as it is."""
    # The shell is in the new namespace, which ends with it unless the last step gives it a name.
    script = 'ip link set dev lo alias "$1"; exec ip netns attach "$2" $$'
    _run(["unshare", "--net", "sh", "-e", "-c", script, "sh", mark, namespace], "")


def is_stub(namespace: str) -> bool:
    """Whether the name is what is left of one that was half made or half removed: an empty file, no namespace."""
    file = RUN_NETNS / namespace
    try:
        status = file.lstat()
        here = RUN_NETNS.stat().st_dev
    except FileNotFoundError:
        return False
    # A namespace is on a device of its own, nsfs.
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and status.st_dev == here


def delete_stub(namespace: str) -> None:
    """Remove a stub. If it has become somebody's namespace by now, the kernel refuses (EBUSY, rename(2)): it stays."""
    with suppress(OSError):
        (RUN_NETNS / namespace).unlink()


def mark_of(namespace: str) -> str | None:
    """The mark that `create` left; None for a namespace that somebody else made."""
    try:
        links = json.loads(ip("-n", namespace, "-json", "link", "show", "lo") or "[]")
    except CommandFailedError:
        # `ip netns add` by somebody else may be half-way, or the name is a plain file: not ours in any case.
        return None
    alias = links[0].get("ifalias") if links else None
    return str(alias) if alias is not None else None


def delete_links(namespace: str, names: Sequence[str]) -> None:
    """Remove those of the interfaces that are there. The other end of a cable goes with the first."""
    present = {link["ifname"] for link in json.loads(ip("-n", namespace, "-json", "link", "show") or "[]")}
    doomed = [f"link delete dev {name}" for name in names if name in present]
    if doomed:
        ip("-n", namespace, batch=doomed)


def delete(namespace: str) -> None:
    """Remove a namespace's name. The namespace itself goes with the last process in it."""
    ip("netns", "delete", namespace)


def inode(namespace: str) -> tuple[int, int]:
    """What tells one namespace from another: device and inode of its file, as of /proc/PID/ns/net."""
    status = (RUN_NETNS / namespace).stat()
    return status.st_dev, status.st_ino


def enter_argv(namespace: str, argv: Sequence[str]) -> list[str]:
    """The argument list that runs `argv` inside. `ip` replaces itself by the program: its pid is the program's."""
    return [find_program("ip") or "ip", "netns", "exec", namespace, *argv]


def set_sysctls(namespace: str, values: Sequence[tuple[str, str]]) -> None:
    """Write values below /proc/sys of a namespace; names with slashes, such as `net/ipv4/ip_forward`."""
    lines = "".join(f"echo {shlex.quote(value)} > /proc/sys/{shlex.quote(name)}\n" for name, value in values)
    _run(enter_argv(namespace, ["sh", "-e", "-s"]), lines)


def _run(argv: Sequence[str], text: str) -> str:
    command = shlex.join(argv)
    program = find_program(argv[0])
    if program is None:
        reason = f"{argv[0]} is not installed (package {PACKAGES[argv[0]]})"
        raise CommandFailedError(command=command, reason=reason)
    try:
        with spared():
            done = subprocess.run(
                [program, *argv[1:]],
                input=text,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT,
                check=False,
                env={**os.environ, "PATH": search_path()},
            )
    except subprocess.TimeoutExpired as error:
        raise CommandFailedError(command=command, reason=f"no answer in {COMMAND_TIMEOUT:.0f} seconds") from error
    if done.returncode:
        reason = "; ".join(done.stderr.split("\n")).strip("; ") or f"exit status {done.returncode}"
        raise CommandFailedError(command=command, reason=reason)
    return done.stdout
