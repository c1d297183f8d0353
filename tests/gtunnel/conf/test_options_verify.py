import pytest

from gtunnel.conf.option import BadValueError
from gtunnel.conf.options_verify import NO_DEMAND, Demand, verify_level
from tests.gtunnel.conf.samples import client, server

CA = "CAfile = ca.pem"

# What stunnel4 5.68 did as a server with these lines to a client without a certificate, with one that leads nowhere,
# and with the trusted one; translated into the demands that explain it.
CASES = [
    ("", ""),
    ("requireCert = yes", "request require"),
    ("verifyChain = yes", "request require chain"),
    ("verifyPeer = yes", "request require peer"),
    ("verifyChain = yes; requireCert = no", "request chain"),
    ("requireCert = no; verifyChain = yes", "request require chain"),
    ("verify = 0", "request"),
    ("verify = 1", "request chain"),
    ("verify = 2", "request require chain"),
    ("verify = 3", "request require chain peer"),
    ("verify = 4", "request require peer"),
    ("verify = 2; verifyChain = no", "request require"),
    ("verifyChain = no; verify = 2", "request require chain"),
    ("verify = 2; requireCert = no", "request chain"),
    ("requireCert = yes; verify = 1", "request chain"),
    ("verify = 1; requireCert = yes", "request require chain"),
    ("verify = 4; verify = 0", "request"),
    ("verifyPeer = yes; verify = 0", "request"),
    ("verify = 3; verifyPeer = no", "request require chain"),
    ("verifyChain = yes; verifyChain = no", "request require"),
    ("verifyPeer = yes; verifyChain = yes; verifyPeer = no", "request require chain"),
]


@pytest.mark.parametrize(("lines", "demands"), CASES)
def test_lines_change_the_demands_in_order_as_in_stunnel(lines: str, demands: str) -> None:
    verification = server(CA, *lines.split("; ")).verification
    found = [name for name in ("request", "require", "chain", "peer") if getattr(verification, name)]
    assert found == demands.split()


def test_checks_add_up() -> None:
    lines = ("checkHost = a", "checkHost = *.b", "checkIP = ::1", "checkIP = 192.0.2.1", "checkEmail = a@b")
    verification = client("verifyChain = yes", CA, *lines).verification
    assert verification.hosts == ("a", "*.b")
    assert verification.ips == ("::1", "192.0.2.1")
    assert verification.emails == ("a@b",)
    assert verification.convincing


def test_levels_are_0_to_4() -> None:
    assert verify_level("02") == verify_level("2")
    for text in ("5", "-1", "none", "", "x", "9" * 5000):
        with pytest.raises(BadValueError, match=r"^Bad verify level"):
            verify_level(text)


def test_a_later_demand_leaves_what_it_does_not_mention() -> None:
    assert NO_DEMAND.changed_by(Demand(peer=True)) == Demand(request=False, require=False, chain=False, peer=True)
