"""Where a statement of a configuration stands."""

from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands: for error messages and for `gtunnel check`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
