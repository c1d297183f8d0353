"""What a negotiation fails with."""

from gtunnel.errors import GtunnelError


class ProtocolError(GtunnelError):
    """A peer said what the protocol does not allow, or no to what we need. `protocol` is its name as configured."""

    template = "{protocol}: {reason}"


class MessageError(GtunnelError):
    """What a peer sent is no message: too long, or cut short. `side` is who sent it."""

    template = "the {side}'s message: {reason}"


class AuthenticationError(GtunnelError):
    """A client whose name or password is wrong. Which of them is not said."""

    template = "{protocol}: wrong name or password (user {name!r})"
