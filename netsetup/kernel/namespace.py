"""The network namespace that this process is in, and entering another one."""

import ctypes
import os
import socket
from pathlib import Path

from netsetup.errors import CapabilityError, NamespaceError
from netsetup.state import Family

NAMESPACES = Path("/run/netns")
"""Where ip-netns(8) keeps named namespaces."""

_CLONE_NEWNET = 0x40000000
_SO_NETNS_COOKIE = 71  # Linux 5.14; unlike the inode number, never used again for another namespace
_CAP_NET_ADMIN = 12


def enter(name: str) -> None:
    """Move this process (it must have no other threads) into the namespace `name`. Raises NamespaceError."""
    if "/" in name or name in ("", ".", ".."):
        raise NamespaceError(name=name, reason="that is no name of a namespace")
    try:
        descriptor = os.open(NAMESPACES / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "there is none of this name (see: ip netns list)" if missing else str(error)
        raise NamespaceError(name=name, reason=reason) from error
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise NamespaceError(name=name, reason=os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def identity() -> str:
    """A text that names the namespace of this process, and no other one until the next boot."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError:
            return f"inode-{os.stat('/proc/self/ns/net').st_ino}"  # noqa: PTH116 - follows the link on purpose
    return str(int.from_bytes(cookie, "little"))


def families() -> tuple[Family, ...]:
    """The IP versions that this kernel has: IPv6 may be left out of it, or switched off at boot (ipv6.disable=1)."""
    return tuple(Family) if Path("/proc/sys/net/ipv6").exists() else (Family.IPV4,)


def interfaces() -> frozenset[str]:
    """The names of the interfaces there are now. Not their alternative names, which no firewall rule matches."""
    return frozenset(name for _, name in socket.if_nameindex())


def require_net_admin() -> None:
    """Raise CapabilityError unless this process may change the network."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:") and not int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1:
            raise CapabilityError(capability="CAP_NET_ADMIN")
