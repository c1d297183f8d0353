"""Options of a SOCKS server: who may use it, and whom they may reach. stunnel has none of them."""

from gtunnel.conf.option import Repeated, Scope, Single, Topic
from gtunnel.conf.parsers import path
from gtunnel.conf.targetrules import TargetRule, parse

SOCKS_TARGETS = Repeated[TargetRule](
    name="socksTargets",
    scope=Scope.SERVICE,
    parse=parse,
    metavar="allow|deny TARGET[:PORTS]",
    help="whom a SOCKS server's clients may reach; the first line that matches counts",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "For `protocol = socks` in server mode. A target is a network (`socksTargets = deny 10.0.0.0/8`, `socksTargets "
        "= allow [2001:db8::]/32:443`), a name (`socksTargets = allow www.example.org:80,443`), all names below one "
        "(`socksTargets = allow *.example.org:1-1023`), or everybody (`socksTargets = allow *`). Lines are read from "
        "the first to the last, for each address of the target by itself: networks are compared with the address, "
        "names with what the client asked for. What no line is about is refused. So to keep names from leading into a "
        "network, deny the network first. Without any line everything is allowed. This machine's loopback is refused "
        "unless a line allows a network in it, such as `socksTargets = allow 127.0.0.1:8080`."
    ),
)
SOCKS_USERS = Single[str | None](
    name="socksUsers",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="names and passwords of a SOCKS server's clients",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "For `protocol = socks` in server mode. Clients have to say a name and a password (RFC 1929), so SOCKS 4 does "
        "not work any more. The file has lines `USER:PASSWORD`; instead of a password there may be its hash as "
        "`openssl passwd -6` writes it. It is read at start and at a reload. A certificate that `verifyChain` or "
        "`verifyPeer` demands is the better proof, and both may be asked for."
    ),
)

OPTIONS = (SOCKS_TARGETS, SOCKS_USERS)
