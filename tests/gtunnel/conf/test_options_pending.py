import pytest

from gtunnel.conf.option import NOT_YET
from gtunnel.conf.options_pending import OPTIONS, SERVICE_OPTIONS
from tests.gtunnel.conf.samples import CLIENT, FILE, SERVER, client, problems, reasons

REFUSED = [row for row in OPTIONS if row.works_for == ()]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_what_does_not_work_is_refused_with_name_file_and_line(row: object) -> None:
    (row,) = [one for one in REFUSED if one is row]
    text = CLIENT + f"{row.name} = x" if row in SERVICE_OPTIONS else f"{row.name} = x\n" + CLIENT
    (reason,) = reasons(text)
    assert reason.startswith(f"{FILE}:{5 if row in SERVICE_OPTIONS else 1}: ")
    assert f"option '{row.name}': {row.refusal}" in reason


@pytest.mark.parametrize(
    "line",
    [
        "pty = no",
        "retry = no",
    ],
)
def test_what_happens_anyway_may_be_said(line: str) -> None:
    assert client(line) == client()


@pytest.mark.parametrize(
    "line",
    [
        *("pty = yes", "retry = yes"),
        "retry = 1000",
    ],
)
def test_the_other_value_is_refused(line: str) -> None:
    (reason,) = reasons(CLIENT + line)
    assert reason.endswith(NOT_YET)


def test_a_program_is_told_about_once_not_as_a_missing_endpoint_as_well() -> None:
    (reason,) = reasons("[x]\naccept = 1\ncert = c\nexec = /bin/true\n")
    assert "option 'exec'" in reason


@pytest.mark.parametrize("row", [row for row in OPTIONS if row.secret], ids=lambda row: row.name)
def test_no_secret_is_ever_shown(row: object) -> None:
    (row,) = [one for one in OPTIONS if one is row]
    for line in (
        f"{row.name} = hunter2",
        f"{row.name[:-1]} = hunter2",
        f"{row.name} hunter2",
        f"x{row.name}\t=hunter2",
    ):
        for text in (SERVER + line, line + "\n" + SERVER):
            assert "hunter2" not in "".join(reasons(text))
            assert all("hunter2" not in problem.text for problem in problems(text))
            assert reasons(text)
