"""Options of the manual that cannot work here: gtunnel refuses to start with them."""

from gtunnel.conf.option import Scope, Single, Topic
from gtunnel.conf.parsers import anything

NO_EGD = "OpenSSL has no entropy gathering daemon any more; it takes the kernel's randomness"
NO_COMPRESSION = "compression under TLS gives secrets away (CRIME), and this OpenSSL is built without it"

COMPRESSION = Single(
    name="compression",
    scope=Scope.GLOBAL,
    parse=anything,
    default="",
    metavar="deflate|zlib",
    help="compress what TLS carries",
    works_for=(),
    refusal=NO_COMPRESSION,
    topic=Topic.POLICY,
)
EGD = Single(
    name="EGD",
    scope=Scope.GLOBAL,
    parse=anything,
    default="",
    metavar="PATH",
    help="socket of an entropy gathering daemon",
    works_for=(),
    refusal=NO_EGD,
    topic=Topic.LIBRARY,
)

OPTIONS = (COMPRESSION, EGD)
