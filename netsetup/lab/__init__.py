"""Three hosts on one machine: client - gateway - server in network namespaces, IPv4 and IPv6.

For trying and testing what netsetup does to a gateway without a second machine, and without touching this one.
"""

from netsetup.lab.errors import LabError, LabExistsError, LabIncompleteError
from netsetup.lab.lab import DEFAULT_NAME, HostStatus, Lab, LabStatus
from netsetup.lab.processes import Process
from netsetup.lab.programs import find_program
from netsetup.lab.signals import Hold, Interrupted, held, interruptible
from netsetup.lab.topology import CLIENT, GATEWAY, HOSTS, SERVER, Host, Interface

__all__ = [
    "CLIENT",
    "DEFAULT_NAME",
    "GATEWAY",
    "HOSTS",
    "SERVER",
    "Hold",
    "Host",
    "HostStatus",
    "Interface",
    "Interrupted",
    "Lab",
    "LabError",
    "LabExistsError",
    "LabIncompleteError",
    "LabStatus",
    "Process",
    "find_program",
    "held",
    "interruptible",
]
