"""Signals wait until what is half done is done, and then take effect as if they came then."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from netsetup.lab.signals import HELD, Interrupted, held, interruptible, spared


@pytest.fixture
def came() -> Iterator[list[int]]:
    """The signals that took effect."""
    numbers: list[int] = []
    before = {number: signal.signal(number, lambda number, _: numbers.append(number)) for number in HELD}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", HELD)
def test_a_signal_waits_until_the_end(number: signal.Signals, came: list[int]) -> None:
    with held() as hold:
        assert not hold.waiting
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert hold.waiting
        assert came == []
    assert came == [number]


def test_an_interruption_is_raised_at_the_end() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), held():  # noqa: PT012 - where it is raised is the matter
        os.kill(os.getpid(), signal.SIGINT)
        done = True
    assert done


def test_a_signal_takes_effect_where_it_is_released(came: list[int]) -> None:
    with held() as hold:
        os.kill(os.getpid(), signal.SIGTERM)
        with hold.released():
            assert came == [signal.SIGTERM]
            os.kill(os.getpid(), signal.SIGINT)
            assert came == [signal.SIGTERM, signal.SIGINT]
        os.kill(os.getpid(), signal.SIGHUP)
        assert len(came) == 2
    assert came == [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def test_what_is_raised_where_it_is_released_leaves_the_rest_held() -> None:
    with pytest.raises(KeyboardInterrupt), held() as hold:  # noqa: PT012
        with pytest.raises(KeyboardInterrupt), hold.released():
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert hold.waiting


def test_an_inner_hold_leaves_it_to_the_outer(came: list[int]) -> None:
    with held():
        with held():
            os.kill(os.getpid(), signal.SIGTERM)
        assert came == []
    assert came == [signal.SIGTERM]


def test_what_is_ignored_stays_ignored(came: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with held() as hold:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not hold.waiting
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert came == []


def test_another_thread_may_hold_too() -> None:
    def work() -> None:
        with held() as hold, hold.released():
            done.set()

    done = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done.is_set()


@pytest.mark.parametrize("number", HELD)
def test_programs_are_spared_and_only_for_as_long(number: signal.Signals) -> None:
    script = f"kill -{number.value} $$; echo lives"
    with spared():
        assert subprocess.run(["sh", "-c", script], capture_output=True, check=False).stdout == b"lives\n"
    assert subprocess.run(["sh", "-c", script], capture_output=True, check=False).stdout == b""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_is_raised_and_the_clean_up_after_it_left_alone(number: signal.Signals, status: int) -> None:
    cleaned = False
    with pytest.raises(Interrupted) as caught, interruptible():  # noqa: PT012
        try:
            os.kill(os.getpid(), number)
        finally:
            for another in HELD:
                os.kill(os.getpid(), another)
            cleaned = True
    assert cleaned
    assert caught.value.status == status
    assert caught.value.what
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
