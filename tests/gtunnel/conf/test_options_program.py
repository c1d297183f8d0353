"""exec, execArgs, pty, retry, setEnv: what they may say, and how they go with the endpoints."""

import pytest

from gtunnel.conf.settings import ProgramSettings
from tests.gtunnel.conf.samples import configuration, problems, process, reasons

SERVED = "[p]\naccept = 1000\ncert = c\nexec = /bin/cat\n"
CLIENT = "[p]\nclient = yes\nconnect = 1000\nexec = /bin/cat\n"


def program(text: str) -> ProgramSettings:
    found = configuration(text).services[0].program
    assert found is not None
    return found


def test_without_arguments_a_program_has_its_path_as_its_name() -> None:
    assert program(SERVED) == ProgramSettings(path="/bin/cat", arguments=("/bin/cat",))


def test_arguments_begin_with_the_name_and_have_no_quoting() -> None:
    assert program(SERVED + 'execArgs = cat  -n\t"a b"').arguments == ("cat", "-n", '"a', 'b"')


@pytest.mark.parametrize(("value", "seconds"), [("yes", 1.0), ("NO", None), ("500", 0.5)])
def test_retry_is_a_second_or_milliseconds(value: str, seconds: float | None) -> None:
    assert program(CLIENT + f"retry = {value}").retry == seconds


@pytest.mark.parametrize("value", ["0", "-5", "often", ""])
def test_any_other_retry_is_refused(value: str) -> None:
    (reason,) = reasons(CLIENT + f"retry = {value}")
    assert "needs to be either 'yes' or 'no', or milliseconds" in reason


def test_a_program_is_the_target_or_the_client() -> None:
    assert not configuration(SERVED).services[0].connects_program
    assert configuration(CLIENT).services[0].connects_program


@pytest.mark.parametrize("line", ["connect = 5", "transparent = destination"])
def test_there_is_one_target(line: str) -> None:
    (reason,) = reasons(SERVED + line)
    assert "Each service must define two endpoints" in reason
    assert "remove exec" in reason


def test_a_program_alone_is_half_a_service() -> None:
    (reason,) = reasons("[p]\ncert = c\nexec = /bin/cat\n")
    assert reason.endswith("Each service must define two endpoints (accept is missing)")


@pytest.mark.parametrize("text", [SERVED + "client = yes", CLIENT + "client = no\ncert = c"])
def test_no_tls_over_a_terminal(text: str) -> None:
    assert problems(text) == ()
    (reason,) = reasons(text + "\npty = yes")
    assert "would have to speak TLS" in reason


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("[c]\nclient = yes\naccept = 1\nconnect = 2\nexecArgs = x", "option 'execArgs' has no effect without exec"),
        ("[c]\nclient = yes\naccept = 1\nconnect = 2\npty = yes", "option 'pty' has no effect without exec"),
        (SERVED + "retry = yes", "option 'retry' has no effect without exec and connect"),
    ],
)
def test_what_stunnel_takes_without_effect_is_noted(text: str, note: str) -> None:
    assert configuration(text).notes[0].endswith(note)


def test_variables_are_pairs_and_secret() -> None:
    found = process("setEnv = A = b=c", "setEnv = B=")
    assert found.environment == (("A", "b=c"), ("B", ""))
    assert "b=c" not in repr(found)
    for wrong in ("hunter2", "=hunter2"):
        (reason,) = reasons(f"setEnv = {wrong}\n" + SERVED)
        assert "NAME=VALUE is needed" in reason or "secret" in reason or "***" in reason
        assert "hunter2" not in reason
