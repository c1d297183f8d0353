"""Comparing what is known of a packet with what a rule names: addresses, ports, words, each with its wildcards."""

import ipaddress
from collections.abc import Callable

from netsetup.doctor.packet import Truth, truth


def in_network(address: str | None, network: str) -> Truth:
    """Whether the address is in the network ("192.0.2.1", "192.0.2.0/24", "192.0.2.0/255.255.255.0")."""
    try:
        wanted = ipaddress.ip_network(network, strict=False)
        if wanted.prefixlen == 0:
            return Truth.YES
        return truth(None if address is None else ipaddress.ip_address(address) in wanted)
    except ValueError:
        return Truth.UNKNOWN


def in_addresses(address: str | None, first: str, last: str) -> Truth:
    """Whether the address is in an inclusive range."""
    if address is None:
        return Truth.UNKNOWN
    try:
        one, low, high = (ipaddress.ip_address(text) for text in (address, first, last))
    except ValueError:
        return Truth.UNKNOWN
    return truth(one.version == low.version and int(low) <= int(one) <= int(high))


def in_range(number: int | None, first: object, last: object) -> Truth:
    """Whether the number is in an inclusive range."""
    if not isinstance(first, int) or not isinstance(last, int):
        return Truth.UNKNOWN
    return truth(None if number is None else first <= number <= last)


def is_interface(name: str | None, pattern: str, wildcard: str) -> Truth:
    """Whether it is the interface, or begins as the pattern does, if that ends with the wildcard."""
    if pattern == wildcard:
        return Truth.YES
    if name is None:
        return Truth.UNKNOWN
    if pattern.endswith(wildcard):
        return truth(name.startswith(pattern[:-1]))
    return truth(name == pattern)


def number(text: str, word: Callable[[str], int | None] = lambda _: None) -> int | None:
    """A number in any of C's notations; `word` knows names."""
    try:
        return int(text, 0)
    except ValueError:
        return word(text)
