"""A log to look at."""

from gtunnel.events import Level, Log


class ListLog:
    """Keeps what is written to it, of all names."""

    def __init__(self, threshold: Level = Level.DEBUG) -> None:
        self.threshold = threshold
        self.lines: list[tuple[Level, str]] = []

    def write(self, level: Level, message: str) -> None:
        """Keep a line."""
        if level <= self.threshold:
            self.lines.append((level, message))

    def named(self, identifier: str) -> Log:  # noqa: ARG002
        """Itself."""
        return self

    @property
    def texts(self) -> list[str]:
        """The messages alone."""
        return [text for _, text in self.lines]
