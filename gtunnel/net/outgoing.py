"""How a service makes its outgoing connections, as compiled before workers are forked. No gevent here."""

from dataclasses import field

from gtunnel.conf.settings import SocketOption
from gtunnel.net.loops import LoopGuard
from gtunnel.net.transparency import TransparencyStrategy
from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What every connection of a service has in common.

    `seconds`: TIMEOUTconnect; `local`: a literal to bind; `mark`: SO_MARK or 0; `loops` notes the connections made,
    where a firewall rule could hand them back. `particular`: a socket is to be prepared before it connects.
    """

    seconds: float
    options: tuple[SocketOption, ...]
    strategy: TransparencyStrategy
    local: str | None
    mark: int
    loops: LoopGuard | None
    particular: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        particular = bool(self.mark) or self.local is not None or self.strategy.keeps_source
        object.__setattr__(self, "particular", particular)
