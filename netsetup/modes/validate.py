"""Whether a request makes sense by itself, before anything is derived from it."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace

from netsetup.errors import RequestError
from netsetup.model import Capture, Interception, Request

# 15 characters leave room for ".", a chain's name and a number within iptables' 28 (XT_EXTENSION_MAXNAMELEN).
_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,15}")
_INTERFACE = re.compile(r"[^\s/:+!][^\s/+]{0,14}")
_RESERVED_TABLES = frozenset({0, 253, 254, 255})
_LAST_PRIORITY = 32766 - 4  # the main table is looked up at 32766: rules behind it would never be reached


def validated(request: Request) -> Request:
    """The request with its addresses in canonical form.

    Raises RequestError, naming the service or the option, for the first thing that cannot be.
    """
    validate_instance(request.instance)
    for where, reason in _faults(request):
        raise RequestError(where=where, reason=reason)
    return replace(request, interceptions=tuple(map(_canonical, request.interceptions)))


def validate_instance(instance: str) -> None:
    """Raise RequestError for a name that cannot stand in the names of chains and files."""
    if not _INSTANCE.fullmatch(instance):
        reason = f"{instance!r} is not 1 to 15 of the characters A-Z, a-z, 0-9, _ and -"
        raise RequestError(where="instance", reason=reason)


def _canonical(interception: Interception) -> Interception:
    """What is read back from the kernel is compared as text, so there must be one text per address."""
    return replace(
        interception,
        listeners=tuple(replace(one, host=str(ipaddress.ip_address(one.host))) for one in interception.listeners),
        targets=tuple(replace(one, host=str(ipaddress.ip_address(one.host))) for one in interception.targets),
    )


def _faults(request: Request) -> Iterator[tuple[str, str]]:
    yield from _mark_faults(request)
    if request.table in _RESERVED_TABLES or not 0 < request.table < 2**32:
        yield "netTable", f"{request.table} is no free routing table number (1 to 4294967295, but not 253, 254, 255)"
    if not 0 < request.priority <= _LAST_PRIORITY:
        yield "netPriority", f"{request.priority} is not within 1 to {_LAST_PRIORITY}"
    names = [interception.name for interception in request.interceptions]
    for name in names:
        if names.count(name) > 1:
            yield f"[{name}]", "two services have this name"
    for interception in request.interceptions:
        for reason in _service_faults(interception):
            yield f"[{interception.name}]", reason


def _mark_faults(request: Request) -> Iterator[tuple[str, str]]:
    marks = request.marks
    values = (marks.divert, marks.own, marks.local)
    if not 0 < marks.mask < 2**32:
        yield "netMark", f"the mask {marks.mask:#x} is not within 0x1 to 0xffffffff"
    for value in values:
        if value <= 0 or value & ~marks.mask:
            yield "netMark", f"the three marks {', '.join(map(hex, values))} do not fit the mask {marks.mask:#x}"
    if len(set(values)) != len(values):
        yield "netMark", f"the three marks {', '.join(map(hex, values))} have to differ"


def _service_faults(interception: Interception) -> Iterator[str]:
    endpoints = [(listener.host, listener.port) for listener in interception.listeners]
    endpoints += [(target.host, target.port) for target in interception.targets]
    for host, port in endpoints:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            yield f"{host!r} is no numeric address"
        else:
            if address.version == 6 and (address.scope_id is not None or address.ipv4_mapped is not None):
                yield f"{host} is link-local with an interface, or IPv4 in IPv6; netsetup has no rules for that"
        if not 0 < port < 65536:
            yield f"port {port} is not within 1 to 65535"
    if interception.capture is not None:
        yield from _capture_faults(interception.capture)
        if not interception.listeners:
            yield "traffic can only be captured for a service that accepts on an IP address and port"


def _capture_faults(capture: Capture) -> Iterator[str]:
    if not capture.ports:
        yield "no ports to capture"
    for first, last in capture.ports:
        if not 0 < first <= last < 65536:
            yield f"capture: {first}-{last} is no range of ports within 1 to 65535"
    for interface in capture.interfaces:
        if interface == "lo":
            yield "captureInterface = lo: the gateway's own traffic is captured with captureLocal = yes"
        elif not _INTERFACE.fullmatch(interface):
            yield f"captureInterface: {interface!r} is no interface name"
    for option, networks in (
        ("captureFrom", capture.from_networks),
        ("captureTo", capture.to_networks),
        ("captureExclude", capture.exclude),
    ):
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                yield f"{option}: {error}"
