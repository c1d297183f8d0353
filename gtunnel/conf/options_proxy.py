"""Options of HAProxy's PROXY protocol, in both directions. stunnel sends the first version only."""

import ipaddress

from gtunnel.conf.option import BadValueError, Repeated, Scope, Single, Topic
from gtunnel.conf.parsers import integer
from gtunnel.conf.targetrules import Network


def network(text: str) -> Network:
    """Parse a network, or an address."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise BadValueError("a network such as 192.0.2.0/24 is needed, with no bits behind its prefix") from None
    return found


ACCEPT_PROXY = Repeated[Network](
    name="acceptProxy",
    scope=Scope.SERVICE,
    parse=network,
    metavar="NETWORK",
    help="load balancers whose connections begin with a PROXY header; several lines for several",
    since="gtunnel 0.1",
    topic=Topic.SERVICE,
    more=(
        "A load balancer before gtunnel says in the header (version 1 or 2 of HAProxy's PROXY protocol) who the client "
        "is: that address is then the client's in the log, for `transparent = source`, in limits and access checks. "
        "Connections from these networks have to begin with a header; all others are clients themselves, and a header "
        "of theirs is an error. Name the load balancers only, such as `acceptProxy = 192.0.2.10`: whoever is in the "
        "network can be anybody."
    ),
)
PROXY_VERSION = Single(
    name="proxyVersion",
    scope=Scope.SERVICE,
    parse=integer(1, 2, "Illegal version of the PROXY protocol"),
    default=1,
    metavar="1|2",
    help="version of the PROXY header that the target gets",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "For `protocol = proxy`. `proxyVersion = 2` is binary, and also tells the server name that the client asked "
        "for, TLS version and cipher, and the common name of its certificate and whether that was verified. HAProxy "
        "(`accept-proxy`), nginx (`proxy_protocol`) and Postfix understand both."
    ),
)

OPTIONS = (ACCEPT_PROXY, PROXY_VERSION)
