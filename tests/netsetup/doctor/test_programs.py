import pytest

from netsetup.doctor import programs


def test_output_status_and_reason() -> None:
    assert programs.output("echo", "hello")[:2] == (0, "hello\n")
    assert programs.output("sh", "-c", "echo first >&2; echo last >&2; exit 3") == (3, "", "last")
    assert programs.output("false")[2] == "false ended with status 1"


def test_a_program_that_is_not_there() -> None:
    assert programs.output("no-such-program") == (127, "", "no-such-program is not installed")
    assert programs.decoded("no-such-program") == (None, "no-such-program is not installed")


def test_a_program_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_SECONDS", 0.1)
    assert programs.output("sleep", "60")[0] == 124


def test_json() -> None:
    assert programs.decoded("echo", '{"a": 1}') == ({"a": 1}, "")
    assert programs.decoded("true") == ([], "")
    assert programs.decoded("echo", "words") == (None, "echo did not print JSON")
