"""What a configuration says about programs: its part of `settings`, from where everybody takes it."""

from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSettings:
    """`exec`, `execArgs` (the program's name first), `pty`, `retry`.

    `retry` is how many seconds after its end the program is started again (None: never); only for a program that is a
    service's client, which is one with `connect` and without `accept`.
    """

    path: str
    arguments: tuple[str, ...]
    pty: bool = False
    retry: float | None = None
