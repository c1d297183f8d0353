"""Passphrases of private keys: asked for once, kept for reloads, and never shown.

Who asks is handed in. Once the process has left its terminal, or serves, nobody is asked any more: what is known opens
a key, or nothing does.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from gtunnel.errors import GtunnelError

T = TypeVar("T")

# As many as stunnel (and OpenSSL) give.
MAX_TRIES: Final = 3

Ask = Callable[[str], bytes]
"""Takes the prompt, returns the passphrase. Raises `LockedError` if there is nobody to ask."""


class LockedError(GtunnelError):
    """A key that could not be unlocked. Says why, never with what."""

    template = "{reason}"


class WrongPassphraseError(Exception):
    """For `Passphrases.unlock`: this one does not open it."""


class Passphrases:
    """What is known, in memory only, and whom to ask for more."""

    def __init__(self, ask: Ask | None = None) -> None:
        """`ask` None: nobody."""
        self._ask = ask
        self._known: dict[str, bytes] = {}

    def unlock(self, file: str, opening: Callable[[bytes], T]) -> T:
        """What `opening` makes of the file's passphrase; it raises `WrongPassphraseError` for a wrong one.

        Keys often share one, so what opened another file is tried before somebody is asked. Raises `LockedError`.
        """
        for phrase in dict.fromkeys((*([self._known[file]] if file in self._known else []), *self._known.values())):
            try:
                return self._opened(file, phrase, opening)
            except WrongPassphraseError:
                continue
        if self._ask is None:
            raise LockedError(reason="its passphrase is asked for at start only: restart")
        prompt = f"Enter {file} pass phrase:"
        for _ in range(MAX_TRIES):
            try:
                return self._opened(file, self._ask(prompt), opening)
            except WrongPassphraseError:
                prompt = f"Wrong passphrase: retrying\nEnter {file} pass phrase:"
        raise LockedError(reason="wrong passphrase")

    def ask_no_more(self) -> None:
        """From here on only what is known counts."""
        self._ask = None

    def forget(self) -> None:
        """Forget all: a worker has its keys, and needs no passphrase."""
        self._known.clear()

    def _opened(self, file: str, phrase: bytes, opening: Callable[[bytes], T]) -> T:
        result = opening(phrase)
        self._known[file] = phrase
        return result
