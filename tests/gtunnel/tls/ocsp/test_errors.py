from gtunnel.events import Level
from gtunnel.tls.ocsp.errors import InconclusiveError


def test_a_line_says_that_it_is_about_ocsp() -> None:
    error = InconclusiveError(reason="signature failure")
    assert str(error) == "OCSP: signature failure"
    assert error.level is Level.WARNING
