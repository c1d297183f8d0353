"""A request with everything in it, for tests of whole operations."""

from netsetup.model import Capture, Interception, Listener, Method, Request, Target

LISTENERS = (Listener(host="127.0.0.1", port=9443), Listener(host="::", port=9443))
RICH = Request(
    interceptions=(
        Interception(
            name="web & more",
            listeners=LISTENERS,
            source=True,
            capture=Capture(
                ports=((80, 80), (8000, 8080)),
                interfaces=("eth1",),
                from_networks=("192.0.2.0/24", "2001:db8:1::/64"),
                exclude=("203.0.113.7/32",),
                local=True,
                method=Method.TPROXY,
            ),
        ),
        Interception(
            name="mail",
            listeners=(Listener(host="127.0.0.1", port=9025),),
            source=False,
            capture=Capture(ports=((25, 25),), interfaces=("eth1",), local=True, method=Method.REDIRECT),
        ),
        Interception(
            name="back",
            listeners=(Listener(host="::", port=443),),
            source=True,
            targets=(Target(host="127.0.0.1", port=80), Target(host="::1", port=80)),
        ),
    )
)
"""Everything at once: both methods, a sysctl, ip rules of each kind, rules in four tables."""
