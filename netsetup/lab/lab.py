"""One lab: bring it up, run programs on its hosts, take it down.

Each lab has a name and nothing else in common with others: three namespaces NAME-client, NAME-gateway, NAME-server
and two cables between them, which never pass through this machine's own namespace. All state is in the kernel, so a
lab can be brought up by one process and taken down by another.

SIGINT, SIGTERM and SIGHUP wait while a lab is brought up or taken down (`netsetup.lab.signals`).
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self

from netsetup.lab import namespaces, processes
from netsetup.lab.errors import (
    BadNameError,
    ForeignNamespaceError,
    LabExistsError,
    LabIncompleteError,
    NoLabError,
    NotRootError,
    UnknownHostError,
)
from netsetup.lab.programs import search_path
from netsetup.lab.signals import held
from netsetup.lab.topology import CABLES, GATEWAY, HOSTS, PREFIX_V4, PREFIX_V6, Host

DEFAULT_NAME = "gtunnel-lab"
# The longest host's suffix added, it stays far below what a file name may have, and readable in `ip netns`.
MAX_NAME = 40
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")

# A new namespace inherits part of these from the machine; the lab shall not depend on the machine.
_SYSCTLS_EVERYWHERE = (
    # Addresses are usable at once: there is nobody to have the same.
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/src_valid_mark", "0"),
    ("net/ipv4/conf/default/src_valid_mark", "0"),
    # Ordinary users on a host may ping.
    ("net/ipv4/ping_group_range", "0 2147483647"),
)
_SYSCTLS_ROUTER = (("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """One host: whether its namespace is there, and what runs in it."""

    host: Host
    namespace: str
    present: bool
    processes: tuple[processes.Process, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """The three hosts of a lab as they are now."""

    name: str
    hosts: tuple[HostStatus, ...]

    @property
    def up(self) -> bool:
        """All hosts are there."""
        return all(host.present for host in self.hosts)

    @property
    def absent(self) -> bool:
        """No host is there."""
        return not any(host.present for host in self.hosts)


class Lab:
    """A lab by its name. As a context manager it brings up one of its own and removes it, whatever happens inside.

    Raises `LabError`s: `BadNameError` when made, `NotRootError` when used as somebody else.
    """

    def __init__(self, name: str = DEFAULT_NAME) -> None:
        if len(name) > MAX_NAME or not _NAME.match(name):
            raise BadNameError(name=name, limit=MAX_NAME)
        self.name = name
        self._children: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        if not self.up():
            raise LabExistsError(name=self.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def namespace(self, host: str) -> str:
        """The name of a host's namespace, as `ip netns` knows it. Raises `UnknownHostError`."""
        if host not in (known.name for known in HOSTS):
            raise UnknownHostError(host=host, known=", ".join(known.name for known in HOSTS))
        return f"{self.name}-{host}"

    def up(self) -> bool:
        """Bring the lab up. Returns False, and does nothing, if it is up already.

        What fails half-way is undone, and so is what a signal interrupts: it raises when there is something to undo.
        Raises `LabIncompleteError` for remains, and `ForeignNamespaceError` for a namespace that is no lab's.
        """
        made = False
        try:
            with held():
                made = self._make()
        except BaseException:
            # The signal that waited: whoever called does not learn that there is a lab to take down.
            if made:
                self.down()
            raise
        return made

    def down(self) -> bool:
        """End the programs that the lab started and remove its hosts and cables, complete or not.

        Returns False if there was nothing. Programs that others started in a namespace live on, without a cable.
        """
        with held():
            present = [host for host in self.status().hosts if host.present]
            processes.end([namespaces.inode(host.namespace) for host in present], self.name)
            for child in self._children:
                # It has ended. A wait without limit would hang if an exception has left an earlier one at a point
                # where Popen holds its lock.
                with suppress(subprocess.TimeoutExpired):
                    child.wait(processes.KILL_WAIT)
            self._children.clear()
            for host in present:
                if namespaces.is_stub(host.namespace):
                    namespaces.delete_stub(host.namespace)
                    continue
                # The cables first: a namespace that somebody's process keeps alive would keep them, too.
                namespaces.delete_links(host.namespace, [interface.name for interface in host.host.interfaces])
                namespaces.delete(host.namespace)
            return bool(present)

    def status(self) -> LabStatus:
        """What is there. Raises `ForeignNamespaceError` if one of our names is taken by somebody else."""
        _need_root()
        return LabStatus(name=self.name, hosts=tuple(self._host_status(host) for host in HOSTS))

    def popen(
        self, host: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[Any]:
        """Start a program on a host. `env` is added to this process's; `options` are `subprocess.Popen`'s.

        `down` ends what the caller has not ended. Raises `NoLabError` and `UnknownHostError`.
        """
        command = self._command(host, argv)
        child = subprocess.Popen(command, env=self._environment(env), **options)
        self._children.append(child)
        return child

    def run(
        self, host: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run a program on a host to its end; input and output are inherited unless `options` (`subprocess.run`'s) say
        otherwise. `env` is added to this process's. Raises `NoLabError` and `UnknownHostError`.
        """
        check = bool(options.pop("check", False))
        return subprocess.run(self._command(host, argv), check=check, env=self._environment(env), **options)

    def become(self, host: str, argv: Sequence[str]) -> NoReturn:
        """Replace this process by a program on a host: its exit status, signals and terminal are the caller's own."""
        command = self._command(host, argv)
        os.execve(command[0], command, self._environment(None))  # noqa: S606 - no shell is wanted

    def _command(self, host: str, argv: Sequence[str]) -> list[str]:
        _need_root()
        namespace = self.namespace(host)
        if not namespaces.exists(namespace):
            raise NoLabError(name=self.name)
        return namespaces.enter_argv(namespace, argv)

    def _environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        return {**os.environ, "PATH": search_path(), **(extra or {}), processes.ENVIRONMENT_MARK: self.name}

    @property
    def _mark(self) -> str:
        return f"netsetup lab {self.name}"

    def _host_status(self, host: Host) -> HostStatus:
        namespace = self.namespace(host.name)
        present = namespaces.exists(namespace)
        if present and not namespaces.is_stub(namespace) and namespaces.mark_of(namespace) != self._mark:
            raise ForeignNamespaceError(namespace=namespace)
        running = processes.processes_in(namespaces.inode(namespace), self.name) if present else ()
        return HostStatus(host=host, namespace=namespace, present=present, processes=running)

    def _make(self) -> bool:
        status = self.status()
        if status.up:
            return False
        if not status.absent:
            present = ", ".join(host.namespace for host in status.hosts if host.present)
            raise LabIncompleteError(name=self.name, present=present)
        created: list[str] = []
        try:
            for host in HOSTS:
                namespace = self.namespace(host.name)
                namespaces.create(namespace, self._mark)
                created.append(namespace)
            self._wire()
        except BaseException:
            for namespace in created:
                namespaces.delete(namespace)
            raise
        return True

    def _wire(self) -> None:
        for host in HOSTS:
            sysctls = _SYSCTLS_EVERYWHERE + (_SYSCTLS_ROUTER if host is GATEWAY else ())
            namespaces.set_sysctls(self.namespace(host.name), sysctls)
        # Both ends are made where they belong, so their names can be the same in every lab.
        namespaces.ip(
            "-n",
            self.namespace(GATEWAY.name),
            batch=[
                f"link add name {interface.name} type veth peer name {host.interfaces[0].name} "
                f"netns {self.namespace(host.name)}"
                for interface, host in CABLES
            ],
        )
        # Links first: an IPv6 address on a link without carrier waits about a second after the carrier comes.
        for lines in (_links, _addresses):
            for host in HOSTS:
                namespaces.ip("-n", self.namespace(host.name), batch=list(lines(host)))


def _links(host: Host) -> Iterator[str]:
    yield "link set dev lo up"
    for interface in host.interfaces:
        yield f"link set dev {interface.name} up"


def _addresses(host: Host) -> Iterator[str]:
    for interface in host.interfaces:
        yield f"address add {interface.v4}/{PREFIX_V4} dev {interface.name}"
        yield f"address add {interface.v6}/{PREFIX_V6} dev {interface.name} nodad"
    if host.via is not None:
        device = host.interfaces[0].name
        yield f"route add default via {host.via.v4} dev {device}"
        yield f"route add ::/0 via {host.via.v6} dev {device}"


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NotRootError
