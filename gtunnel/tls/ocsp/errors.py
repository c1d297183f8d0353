"""Why nothing is known about a certificate."""

from gtunnel.errors import GtunnelError
from gtunnel.events import Level


class InconclusiveError(GtunnelError):
    """No answer, or none that says anything about the certificate that was asked about. `str()` is the log line."""

    template = "OCSP: {reason}"
    level = Level.WARNING
