"""Who outside wants to know how it goes: the service manager, and whoever asks through the control socket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gtunnel.daemon.control import Answer, Control
from gtunnel.daemon.notify import Notifier


@dataclass(frozen=True, slots=True)
class Outside:
    """Both, where they are there. The control socket is this object's."""

    notifier: Notifier = field(default_factory=Notifier)
    control: Control | None = None

    def obey(self, words: Mapping[str, Callable[[], Answer]]) -> None:
        """Do what is asked for through the control socket, request by request."""
        while self.control is not None and (request := self.control.accept()) is not None:
            action = words.get(request.word)
            unknown = Answer(False, (f"{request.word}: there is no such request",))
            request.answer(unknown if action is None else action())

    def attend(self) -> None:
        """Let the control socket send us SIGIO."""
        if self.control is not None:
            self.control.attend()

    def let_go(self) -> None:
        """In a worker: none of this is its business."""
        if self.control is not None:
            self.control.let_go()

    def close(self) -> None:
        """It is over."""
        if self.control is not None:
            self.control.close()
        self.notifier.close()
