"""What a demonstration can fail with."""

from gtunnel.errors import GtunnelError


class DemoError(GtunnelError):
    """Something did not go as shown. `log`: the last lines of the program concerned."""

    template = "{what}\n{log}"
