import pytest

from netsetup.backends.choose import backend_for
from netsetup.errors import BackendError
from netsetup.model import Backend


@pytest.mark.parametrize("wanted", [Backend.AUTO, Backend.IPTABLES])
def test_iptables_is_what_works(wanted: Backend) -> None:
    assert backend_for(wanted, "gtunnel").name == "iptables"


def test_nftables_is_refused_by_the_name_of_the_option() -> None:
    with pytest.raises(BackendError, match=r"netBackend = nftables.*does not work yet.*netBackend = iptables"):
        backend_for(Backend.NFTABLES, "gtunnel")
