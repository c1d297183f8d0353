"""Which backend is meant by `netBackend`."""

from netsetup.backends.contract import FirewallBackend
from netsetup.backends.iptables import IptablesBackend
from netsetup.errors import BackendError
from netsetup.model import Backend


def backend_for(wanted: Backend, instance: str) -> FirewallBackend:
    """The backend, not yet entered. Raises BackendError for the one that does not work yet."""
    if wanted is Backend.NFTABLES:
        raise BackendError(
            backend="nftables",
            reason="the nftables backend does not work yet",
            instead="use netBackend = iptables or auto",
        )
    return IptablesBackend(instance)
