"""Plays a negotiation on bytes: what the two sides say, whole or byte by byte, and what the protocol does with it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gtunnel.errors import GtunnelError
from gtunnel.wire.inbox import Inbox
from gtunnel.wire.steps import Glance, Negotiation, Receive, ReceiveLine, Send, Side, StartTls, Step

# How bytes may come: all at once, one by one, in crumbs.
CHUNKS = (0, 1, 3)


@dataclass
class Played:
    """What happened: the protocol's steps but for the receiving ones, what was said to each side, what was left over
    for TLS or the relay, and what ended it, if that was an error."""

    steps: list[Step] = field(default_factory=list)
    said: dict[Side, bytes] = field(default_factory=lambda: dict.fromkeys(Side, b""))
    under_tls: dict[Side, bytes] = field(default_factory=lambda: dict.fromkeys(Side, b""))
    rest: dict[Side, bytes] = field(default_factory=dict)
    # What each side had sent already when TLS started: TLS bytes, whatever they look like.
    at_tls: dict[Side, bytes] | None = None
    error: GtunnelError | None = None
    waits_for: Side | None = None

    @property
    def kinds(self) -> list[type[Step]]:
        """The kinds of its steps, of equal ones in a row one."""
        kinds = [type(step) for step in self.steps]
        return [kind for number, kind in enumerate(kinds) if number == 0 or kinds[number - 1] is not kind]


def play(
    negotiation: Negotiation,
    client: bytes = b"",
    target: bytes = b"",
    *,
    tls_side: Side = Side.CLIENT,
    after_tls: bytes = b"",
    chunk: int = 0,
    take: Callable[[Step], None] | None = None,
) -> Played:
    """Run a negotiation to its end, or until it waits for what nobody says. `after_tls` is what the TLS side says under
    TLS; `chunk` is how many bytes come at a time (0: all); `take` is called for each step and may raise what it fails
    with."""
    stage = _Stage({Side.CLIENT: client, Side.TARGET: target}, tls_side, after_tls, chunk)
    played = stage.played
    try:
        step = next(negotiation)
        while True:
            try:
                answered = stage.answer(step, take)
            except GtunnelError as error:
                step = negotiation.throw(error)
                continue
            if answered is None:
                break
            step = negotiation.send(answered)
    except StopIteration:
        pass
    except GtunnelError as error:
        played.error = error
    played.rest = {side: stage.inboxes[side].take_rest() + stage.waiting[side] for side in Side}
    return played


class _Stage:
    def __init__(self, waiting: dict[Side, bytes], tls_side: Side, after_tls: bytes, chunk: int) -> None:
        self.played = Played()
        self.waiting = waiting
        self.inboxes = {side: Inbox() for side in Side}
        self._tls_side = tls_side
        self._after_tls = after_tls
        self._chunk = chunk

    def answer(self, step: Step, take: Callable[[Step], None] | None) -> bytes | None:
        """What a step gives; None if nobody says what it waits for."""
        if isinstance(step, Receive | ReceiveLine):
            return self._message(step)
        if isinstance(step, Glance):
            return self.inboxes[step.side].waiting + self.waiting[step.side]
        played = self.played
        played.steps.append(step)
        if take is not None:
            take(step)
        if isinstance(step, Send):
            under_tls = played.at_tls is not None and step.side is self._tls_side
            (played.under_tls if under_tls else played.said)[step.side] += step.data
        elif isinstance(step, StartTls):
            side = self._tls_side
            played.at_tls = dict.fromkeys(Side, b"") | {side: self.inboxes[side].take_rest()}
            self.waiting[side] = self._after_tls
        return b""

    def _message(self, step: Receive | ReceiveLine) -> bytes | None:
        inbox, waiting = self.inboxes[step.side], self.waiting
        while (message := inbox.take(step)) is None:
            if not waiting[step.side]:
                self.played.waits_for = step.side
                return None
            size = self._chunk or len(waiting[step.side])
            inbox.feed(waiting[step.side][:size])
            waiting[step.side] = waiting[step.side][size:]
        return message
