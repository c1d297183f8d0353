"""Passphrases: whom they are asked of, how often, and that they are kept."""

from collections.abc import Callable

import pytest

from gtunnel.tls.passphrases import MAX_TRIES, LockedError, Passphrases, WrongPassphraseError


def opening(right: bytes) -> Callable[[bytes], str]:
    """What only one passphrase opens."""

    def opened(phrase: bytes) -> str:
        if phrase != right:
            raise WrongPassphraseError
        return "open"

    return opened


class Somebody:
    """Answers with the same, always."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> bytes:
        self.prompts.append(prompt)
        return self.answer


def test_a_passphrase_is_asked_for_once_and_kept() -> None:
    somebody = Somebody(b"x")
    passphrases = Passphrases(somebody)
    assert passphrases.unlock("a.key", opening(b"x")) == "open"
    passphrases.ask_no_more()
    assert passphrases.unlock("a.key", opening(b"x")) == "open"
    assert somebody.prompts == ["Enter a.key pass phrase:"]


def test_one_passphrase_may_open_several_files() -> None:
    somebody = Somebody(b"x")
    passphrases = Passphrases(somebody)
    for file in ("a.key", "b.key"):
        assert passphrases.unlock(file, opening(b"x")) == "open"
    assert len(somebody.prompts) == 1


def test_nobody_is_asked_for_ever() -> None:
    somebody = Somebody(b"hunter2")
    with pytest.raises(LockedError) as caught:
        Passphrases(somebody).unlock("a.key", opening(b"x"))
    assert len(somebody.prompts) == MAX_TRIES
    assert "hunter2" not in str(caught.value)


def test_what_is_forgotten_opens_nothing() -> None:
    passphrases = Passphrases(Somebody(b"x"))
    passphrases.unlock("a.key", opening(b"x"))
    passphrases.forget()
    passphrases.ask_no_more()
    with pytest.raises(LockedError, match="asked for at start only"):
        passphrases.unlock("a.key", opening(b"x"))
