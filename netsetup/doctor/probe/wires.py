"""The probe's own network: a client's and a server's namespace, each on a cable to the namespace that is probed.

Nothing here has a name that outlives its process for long: the namespaces exist by descriptors only, the cables go with
the namespaces, and routes, neighbours and filters with the cables. So however the process ends, all will be gone; the
kernel may take its time for that, and whoever ends in order takes the cables away at once (`close`).

What the client sends is handed over at its cable's end to the interface it should seem to come from (tc-mirred(8),
"ingress redirect"): rules that ask for an interface see that one. Answers go to the client by a route for its address.
"""

import ctypes
import os
import socket
from collections.abc import Callable
from typing import TypeVar

from netsetup.doctor.probe.attempts import Attempt
from netsetup.doctor.programs import decoded, output

_CLONE_NEWNET = 0x40000000
_MAC = {"client": "02:67:74:70:00:01", "server": "02:67:74:70:00:02"}
"""Locally administered. Neighbours are written down, so that nobody is asked."""

_NEXT = {4: "169.254.0.1", 6: "fe80::1"}
"""The gateway as client and server know it; only its hardware address matters."""

Result = TypeVar("Result")


class WiringError(Exception):
    """The probe's network could not be made. One sentence."""


class Namespace:
    """A network namespace, by descriptor. `call` runs a function in it; sockets made there stay there."""

    def __init__(self) -> None:
        self._descriptor = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self) -> str:
        """For ip(8), as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @staticmethod
    def new(home: "Namespace") -> "Namespace":
        """One with nothing in it."""
        _libc("unshare", _CLONE_NEWNET)
        try:
            made = Namespace()
            run("ip", "link", "set", "lo", "up")
            return made
        finally:
            home.enter()

    def enter(self) -> None:
        """Move this process into it."""
        _libc("setns", self._descriptor, _CLONE_NEWNET)

    def call(self, home: "Namespace", function: Callable[[], Result]) -> Result:
        """Run a function in it, and come back."""
        self.enter()
        try:
            return function()
        finally:
            home.enter()


def _libc(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise WiringError(f"{name}: {os.strerror(ctypes.get_errno())}")


def run(*argv: str) -> str:
    """A command that has to succeed. Raises WiringError."""
    status, out, reason = output(*argv)
    if status != 0:
        raise WiringError(f"{' '.join(argv)}: {reason}")
    return out


class Wires:
    """The two namespaces on their cables. `close` it; all sockets in it stay their owners' to close."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.home = Namespace()
        self.client = Namespace.new(self.home)
        self.server = Namespace.new(self.home)
        self.to_client, self.to_server = f"gtpc{os.getpid()}", f"gtps{os.getpid()}"
        six = attempt.family == 6
        self._ip = ("ip", "-6") if six else ("ip", "-4")
        self._whole = "/128" if six else "/32"
        self._laid: list[str] = []
        try:
            self._cable("client", self.client, self.to_client, attempt.source)
            if attempt.own_server:
                self._cable("server", self.server, self.to_server, attempt.destination)
            self._hand_over()
            self._see_where_answers_go()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take the cables away, and with them all that hangs on them. Raises WiringError."""
        while self._laid:
            run("ip", "link", "delete", self._laid.pop())

    def _cable(self, name: str, there: Namespace, ours: str, address: str) -> None:
        run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", there.path)
        self._laid.append(ours)
        run("ip", "link", "set", ours, "addrgenmode", "none")
        run("ip", "link", "set", ours, "up")
        link, _ = decoded("ip", "-j", "link", "show", "dev", ours)
        there.call(self.home, lambda: self._far_end(name, address, link[0]["address"]))
        nexthop = ["dev", ours]
        if self._attempt.strict and name == "client":
            # The filter asks whether any of a route's ways is the interface; answers take this one, by 256 to 1.
            nexthop = ["nexthop", "dev", ours, "weight", "256", "nexthop", "dev", self._attempt.iif, "weight", "1"]
        run(*self._ip, "route", "add", address + self._whole, *nexthop)
        run(*self._ip, "neighbour", "replace", address, "lladdr", _MAC[name], "dev", ours, "nud", "permanent")

    def _far_end(self, name: str, address: str, gateway: str) -> None:
        via = _NEXT[self._attempt.family]
        run("ip", "link", "set", "eth0", "address", _MAC[name], "addrgenmode", "none")
        nodad = ["nodad"] if self._attempt.family == 6 else []
        run(*self._ip, "address", "add", address + self._whole, "dev", "eth0", *nodad)
        run("ip", "link", "set", "eth0", "up")
        run(*self._ip, "neighbour", "replace", via, "lladdr", gateway, "dev", "eth0", "nud", "permanent")
        run(*self._ip, "route", "add", "default", "via", via, "dev", "eth0", "onlink")

    def _hand_over(self) -> None:
        protocol = "ipv6" if self._attempt.family == 6 else "ip"
        run("tc", "qdisc", "add", "dev", self.to_client, "clsact")
        match = ["protocol", protocol, "u32", "match", "u32", "0", "0"]  # anything; more kernels have it than matchall
        action = ["action", "mirred", "ingress", "redirect", "dev", self._attempt.iif]
        run("tc", "filter", "add", "dev", self.to_client, "ingress", *match, *action)

    def _see_where_answers_go(self) -> None:
        """Rules of others may come before the main table."""
        ways = [(self._attempt.source, self.to_client)]
        ways += [(self._attempt.destination, self.to_server)] if self._attempt.own_server else []
        for address, interface in ways:
            answer, reason = decoded(*self._ip[:1], "-j", self._ip[1], "route", "get", address)
            found = answer[0].get("dev") if answer else reason
            if found != interface:
                raise WiringError(
                    f"packets to {address} do not come to the probe (ip route get {address}: {found}); "
                    "another routing rule leads them away"
                )

    def packets_sent(self) -> int:
        """How many packets the client has sent."""
        link, _ = decoded("ip", "-s", "-j", "link", "show", "dev", self.to_client)
        return int(link[0]["stats64"]["rx"]["packets"]) if link else 0


def in_use(address: str, family: int) -> bool:
    """Whether a machine in one of our networks answers for the address: then it must not be led astray."""
    ip = ("ip", "-j", f"-{family}")
    route, _ = decoded(*ip, "route", "get", address)
    if not route or "gateway" in route[0] or route[0].get("type") not in (None, "unicast"):
        return False
    with socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(1)
        try:
            # The discard port: what counts is whether the neighbour is found.
            one.connect((address, 9))
            one.send(b"")
            one.recv(1)
        except OSError:
            pass
    found, _ = decoded(*ip, "neighbour", "show", address)
    return any("lladdr" in entry for entry in found or [])
