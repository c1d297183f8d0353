"""What `gtunnel netsetup` may use of the kernel: firewall marks, a routing table, and the priorities of ip rules."""

import re

from gtunnel.conf.option import BadValueError, Scope, Single, Topic
from gtunnel.conf.parsers import choice, integer
from gtunnel.conf.settings import NetBackend

# Linux takes 32 bits (RTA_TABLE); 0 is "unspecified", 253 to 255 are default, main and local (rt_tables).
MAX_TABLE = 2**32 - 1
RESERVED_TABLES = (253, 254, 255)
# Four priorities have to stand before the main table's, whose priority is 32766 (ip-rule(8)).
MAX_PRIORITY = 32762
_NAME = re.compile(r"[A-Za-z0-9_-]{1,15}")
MAX_MARK = 2**32 - 1
DEFAULT_MARK_MASK = 0xFF
# divert, own, local: see NetSettings.
MARKS_NEEDED = 3


def routing_table(text: str) -> int:
    """Parse a routing table's number that is free for us."""
    number = integer(1, MAX_TABLE, "Illegal routing table")(text)
    if number in RESERVED_TABLES:
        raise BadValueError(f"Illegal routing table: {number} is one of the kernel's own")
    return number


def marks(text: str) -> tuple[int, int]:
    """Parse `FIRST[/MASK]`, decimal or hexadecimal, into the first mark and the mask.

    Three marks are needed, a step (the mask's lowest bit) apart, all of them inside the mask and none of them 0.
    """
    first_text, slash, mask_text = text.partition("/")
    first = _mark(first_text)
    mask = _mark(mask_text) if slash else DEFAULT_MARK_MASK
    step = mask & -mask
    contiguous = mask != 0 and (mask // step) & (mask // step + 1) == 0
    if not contiguous:
        raise BadValueError("Illegal mark: the mask needs one unbroken run of bits, such as 0xff00")
    last = first + (MARKS_NEEDED - 1) * step
    if first == 0 or first & ~mask or last & ~mask:
        raise BadValueError(
            f"Illegal mark: {first:#x} to {last:#x} ({MARKS_NEEDED} marks, {step:#x} apart) "
            f"do not fit the mask {mask:#x}"
        )
    return first, mask


def net_name(text: str) -> str:
    """Parse a name that can stand in the names of chains, tables and files."""
    if _NAME.fullmatch(text) is None:
        raise BadValueError("Illegal name: 1 to 15 of the characters A-Z, a-z, 0-9, _ and - are needed")
    return text


def _mark(text: str) -> int:
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[1-9][0-9]{0,9}|0", text.strip()) is None or int(text, 0) > MAX_MARK:
        raise BadValueError("Illegal mark: FIRST or FIRST/MASK is needed, such as 0x1/0xff")
    return int(text, 0)


NET_BACKEND = Single(
    name="netBackend",
    scope=Scope.GLOBAL,
    parse=choice(NetBackend),
    default=NetBackend.AUTO,
    metavar="auto|iptables|nftables",
    help="what netsetup writes firewall rules with",
    since="gtunnel 0.1",
    default_text="auto",
    topic=Topic.TRANSPARENCY,
    more=(
        "`netBackend = auto` takes nftables where this machine's nft and kernel accept the rules, iptables (legacy) "
        "where not; `gtunnel netsetup plan` says which, and why. What the other one wrote of ours is replaced. Only "
        "`gtunnel netsetup` looks at it."
    ),
)
NET_MARK = Single(
    name="netMark",
    scope=Scope.GLOBAL,
    parse=marks,
    default=(0x1, DEFAULT_MARK_MASK),
    metavar="FIRST[/MASK]",
    help="first of three firewall marks, and the bits that are ours",
    since="gtunnel 0.1",
    default_text="0x1/0xff",
    topic=Topic.TRANSPARENCY,
    more=(
        "netsetup needs three firewall marks, a step (the lowest bit of the mask) apart: for packets that belong to "
        "a local socket, for gtunnel's own, and for captured traffic of the gateway itself. `netMark = 0x100/0xf00` "
        "keeps clear of other users of the lowest bits. The mask is one unbroken run of bits; bits outside of it "
        "are left alone. To change it, stop gtunnel, `gtunnel netsetup apply`, and start gtunnel: its sockets carry "
        "the mark as well."
    ),
)
NET_NAME = Single(
    name="netName",
    scope=Scope.GLOBAL,
    parse=net_name,
    default="gtunnel",
    metavar="NAME",
    help="the name by which netsetup finds what is its own",
    since="gtunnel 0.1",
    default_text="gtunnel",
    topic=Topic.TRANSPARENCY,
    more=(
        "1 to 15 letters, digits, `_` and `-`. It is the name of the nftables table and of iptables chains. A second "
        "configuration that is set up on the same machine needs a name of its own, with its own `netMark`, `netTable` "
        "and `netPriority`: with the same name, each would replace what the other one has set up."
    ),
)
NET_TABLE = Single(
    name="netTable",
    scope=Scope.GLOBAL,
    parse=routing_table,
    default=100,
    metavar="NUMBER",
    help="routing table that netsetup may fill",
    since="gtunnel 0.1",
    default_text="100",
    topic=Topic.TRANSPARENCY,
    more=(
        "The table gets one route, which delivers everything to this machine. 1 to 4294967295, but not 253 to 255, "
        "which are the kernel's. Choose one that nobody else fills."
    ),
)
NET_PRIORITY = Single(
    name="netPriority",
    scope=Scope.GLOBAL,
    parse=integer(1, MAX_PRIORITY, "Illegal rule priority"),
    default=5000,
    metavar="NUMBER",
    help="priority of the first of netsetup's ip rules",
    since="gtunnel 0.1",
    default_text="5000",
    topic=Topic.TRANSPARENCY,
    more=(
        "The rules stand at this priority and the three after it, which have to come before the main table's at "
        "32766; so 1 to 32762. Rules of others that should count first, such as a VPN's, need smaller numbers."
    ),
)

OPTIONS = (NET_BACKEND, NET_MARK, NET_NAME, NET_TABLE, NET_PRIORITY)
