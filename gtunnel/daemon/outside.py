"""What is outside of the process: the service manager, whoever asks through the control sockets, and the kernel."""

from collections.abc import Callable, Mapping
from dataclasses import field

from gtunnel.daemon.control import Answer
from gtunnel.daemon.kernel import Kernel, Untouched
from gtunnel.daemon.notify import Notifier
from gtunnel.daemon.reception import Reception
from gtunnel.values import dataclass

Words = Mapping[str, Callable[[], Answer]]


@dataclass(frozen=True, slots=True)
class Outside:
    """All of them, where they are there. The receptions are this object's. `control` is for who may say what is to be
    done, `public` for who may only ask (`controlGroup`)."""

    notifier: Notifier = field(default_factory=Notifier)
    control: Reception | None = None
    public: Reception | None = None
    kernel: Kernel = field(default_factory=Untouched)

    def obey(self, words: Words, questions: Words) -> None:
        """Do what is asked for, `words` by the one and `questions` by the other. Those who may say what is to be done
        come first, and nobody who asks is waited for."""
        for reception, known in ((self.control, words), (self.public, questions)):
            for request in () if reception is None else reception.look():
                action = known.get(request.word)
                unknown = Answer(False, (f"{request.word}: there is no such request",))
                request.answer(unknown if action is None else action())

    @property
    def due(self) -> float | None:
        """When to `obey` at the latest (monotonic seconds); None if only a signal may be a reason to."""
        return min((due for one in self._receptions if (due := one.due) is not None), default=None)

    def attend(self) -> None:
        """Let the control sockets send us SIGIO."""
        for reception in self._receptions:
            reception.attend()

    def let_go(self) -> None:
        """In a worker: none of this is its business."""
        for reception in self._receptions:
            reception.let_go()
        self.kernel.let_go()

    def close(self) -> None:
        """It is over."""
        for reception in self._receptions:
            reception.close()
        self.notifier.close()

    @property
    def _receptions(self) -> tuple[Reception, ...]:
        return tuple(reception for reception in (self.control, self.public) if reception is not None)
