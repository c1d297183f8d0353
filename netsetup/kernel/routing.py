"""Our ip rules and routes, through pyroute2: the only module that knows it.

pyroute2 ignores keyword arguments that it does not know, so what is said to be done is only known after reading back;
`api` does that after all steps. Everything read is decoded into our own types; what does not decode is not ours.
"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from netsetup.errors import RoutingError
from netsetup.kernel import namespace
from netsetup.state import ROUTE_PROTOCOL, Family, ForeignRule, IpRule, Mark, Route

_LOOPBACK_INDEX = 1  # the loopback interface is the first of every namespace
_TO_TABLE = 1  # FR_ACT_TO_TBL
_LOCAL = 2  # RTN_LOCAL
_INVERT = 0x2  # FIB_RULE_INVERT
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_PLAIN = {"FRA_TABLE", "FRA_PRIORITY", "FRA_PROTOCOL", "FRA_SUPPRESS_PREFIXLEN", "FRA_IIFNAME", "FRA_FWMARK"}
_KNOWN = {*_PLAIN, "FRA_FWMASK", "FRA_SRC", "FRA_SPORT_RANGE", "FRA_IP_PROTO", "FRA_SPORT_MASK"}
_SPORT_MASK = 28  # FRA_SPORT_MASK (Linux 6.15), which pyroute2 does not know; 0xffff with every port


class Routing:
    """A netlink connection in the namespace of this process. A context manager."""

    def __init__(self) -> None:
        from pyroute2 import IPRoute

        self._ip: Any = IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ip.close()

    def rules(self) -> tuple[list[IpRule], list[ForeignRule]]:
        """Rules with our protocol and of our shape (also those of other instances), and all the others."""
        ours: list[IpRule] = []
        foreign: list[ForeignRule] = []
        for family in namespace.families():
            with _translated(f"reading the ip rules of IPv{family.value}"):
                messages = list(self._ip.get_rules(family=_FAMILIES[family]))
            for message in messages:
                rule = _own_rule(family, message)
                if rule is not None:
                    ours.append(rule)
                else:
                    foreign.append(_foreign_rule(family, message))
        return ours, foreign

    def routes(self, table: int) -> list[str]:
        """Routes of others in `table`, as text."""
        return [
            f"ip -{family.value} route in table {table}, protocol {message['proto']}"
            for family, message in self._routes()
            if _table(message, "RTA_TABLE") == table and not _is_own_route(message)
        ]

    def own_routes(self) -> list[Route]:
        """Routes with our protocol and of our shape, in any table."""
        return [
            Route(family=family, table=_table(message, "RTA_TABLE"))
            for family, message in self._routes()
            if _is_own_route(message)
        ]

    def bridges(self) -> frozenset[str]:
        """The names of the bridges there are."""
        with _translated("reading the interfaces"):
            links = list(self._ip.get_links(kind="bridge"))
        return frozenset(link.get_attr("IFLA_IFNAME") for link in links if _kind(link) == "bridge")

    def add_rule(self, rule: IpRule) -> None:
        """Add it; nothing happens if it is there. Raises RoutingError."""
        with _translated(str(rule), errno.EEXIST):
            self._ip.rule("add", **_rule_arguments(rule))

    def delete_rule(self, rule: IpRule) -> None:
        """Delete it; nothing happens if it is gone. Raises RoutingError."""
        with _translated(str(rule), errno.ENOENT):
            self._ip.rule("del", **_rule_arguments(rule))

    def add_route(self, route: Route) -> None:
        """Add it; nothing happens if it is there. Raises RoutingError."""
        with _translated(str(route), errno.EEXIST):
            self._ip.route("add", **_route_arguments(route))

    def delete_route(self, route: Route) -> None:
        """Delete it; nothing happens if it is gone. Raises RoutingError."""
        with _translated(str(route), errno.ESRCH):
            self._ip.route("del", **_route_arguments(route))

    def _routes(self) -> Iterator[tuple[Family, Any]]:
        for family in namespace.families():
            with _translated(f"reading the routes of IPv{family.value}"):
                messages = list(self._ip.get_routes(family=_FAMILIES[family]))
            for message in messages:
                yield family, message


def _kind(link: Any) -> str | None:
    information = link.get_attr("IFLA_LINKINFO")
    kind: str | None = None if information is None else information.get_attr("IFLA_INFO_KIND")
    return kind


def _rule_arguments(rule: IpRule) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "family": _FAMILIES[rule.family],
        "priority": rule.priority,
        "table": rule.table,
        "protocol": ROUTE_PROTOCOL,
    }
    if rule.mark is not None:
        arguments |= {"fwmark": rule.mark.value, "fwmask": rule.mark.mask}
    if rule.interface is not None:
        arguments["iifname"] = rule.interface
    if rule.source is not None:
        arguments |= {"src": rule.source, "src_len": rule.family.bits}
    if rule.source_port is not None:
        arguments |= {"ip_proto": socket.IPPROTO_TCP, "sport_range": f"{rule.source_port}:{rule.source_port}"}
    return arguments


def _route_arguments(route: Route) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "family": _FAMILIES[route.family],
        "type": "local",
        "dst": "0.0.0.0/0" if route.family is Family.IPV4 else "::/0",
        "oif": _LOOPBACK_INDEX,
        "table": route.table,
        "proto": ROUTE_PROTOCOL,
    }
    if route.family is Family.IPV4:
        arguments["scope"] = "host"  # the kernel refuses a local route of a wider scope
    return arguments


def _own_rule(family: Family, message: Any) -> IpRule | None:
    """The rule, if it is one that `add_rule` could have made."""
    if message.get_attr("FRA_PROTOCOL") != ROUTE_PROTOCOL:
        return None
    unknown = {name for name, value in message["attrs"] if name not in _KNOWN and not _is_sport_mask(value)}
    ports = (message.get_attr("FRA_SPORT_RANGE") or ":").split(":")
    source = message.get_attr("FRA_SRC")
    shaped = (
        message["action"] == _TO_TABLE
        and not message["flags"] & _INVERT
        and not message["dst_len"]
        and message["src_len"] == (0 if source is None else family.bits)
        and ports[0] == ports[1]
        and (message.get_attr("FRA_IP_PROTO") == socket.IPPROTO_TCP) == bool(ports[0])
    )
    if unknown or not shaped:
        return None
    return IpRule(
        family=family,
        priority=message.get_attr("FRA_PRIORITY") or 0,
        table=_table(message, "FRA_TABLE"),
        mark=_mark(message),
        interface=message.get_attr("FRA_IIFNAME"),
        source=source,
        source_port=int(ports[0]) if ports[0] else None,
    )


def _is_sport_mask(value: object) -> bool:
    return isinstance(value, dict) and value.get("header", {}).get("type") == _SPORT_MASK


def _foreign_rule(family: Family, message: Any) -> ForeignRule:
    return ForeignRule(
        family=family,
        priority=message.get_attr("FRA_PRIORITY") or 0,
        table=_table(message, "FRA_TABLE"),
        mark=_mark(message),
        inverted=bool(message["flags"] & _INVERT),
    )


def _mark(message: Any) -> Mark | None:
    mask = message.get_attr("FRA_FWMASK")
    return Mark(message.get_attr("FRA_FWMARK") or 0, mask) if mask else None


def _table(message: Any, attribute: str) -> int:
    """The header's field has eight bits; the attribute has the whole number."""
    table: int = message.get_attr(attribute) or message["table"]
    return table


def _is_own_route(message: Any) -> bool:
    return bool(
        message["proto"] == ROUTE_PROTOCOL
        and message["type"] == _LOCAL
        and message["dst_len"] == 0
        and message.get_attr("RTA_OIF") == _LOOPBACK_INDEX
    )


@contextlib.contextmanager
def _translated(what: str, harmless: int | None = None) -> Iterator[None]:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code != harmless:
            reason = error.args[1] if len(error.args) > 1 else str(error)
            raise RoutingError(what=what, reason=reason) from error
    except OSError as error:
        raise RoutingError(what=what, reason=error.strerror or str(error)) from error
