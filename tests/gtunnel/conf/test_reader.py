from pathlib import Path

from gtunnel.conf import reader
from gtunnel.conf.errors import Reason
from gtunnel.conf.reader import MAX_PROBLEMS, Outline, read


def outline(text: str) -> Outline:
    return read(text.encode(), "f")


def test_statements_belong_to_the_process_to_the_defaults_or_to_a_section() -> None:
    found = outline("pid = /p\nclient = yes\n[a]\naccept = 1\n[b]\naccept = 2\nconnect = 3\n")
    assert [statement.row.name for statement in found.process] == ["pid"]
    assert [statement.row.name for statement in found.defaults.statements] == ["client"]
    assert [(section.name, len(section.statements)) for section in found.sections] == [("a", 1), ("b", 2)]
    assert found.problems == []


def test_a_misspelt_option_suggests_the_nearest() -> None:
    (problem,) = outline("[a]\nacept = 1\n").problems
    assert str(problem) == 'f:2: "acept = 1": Specified option name is not valid here (did you mean "accept"?)'


def test_an_option_at_the_wrong_place_is_told_where_it_belongs() -> None:
    (problem,) = outline("[a]\npid = /p\n").problems
    assert problem.reason == Reason.INVALID_NAME
    assert "before the first [section]" in problem.hint


def test_all_problems_are_found() -> None:
    found = outline("foo = 1\n[a]\nbar\ndelay = maybe\nbaz = 2\n")
    assert [problem.place.line for problem in found.problems] == [1, 3, 4, 5]


def test_problems_have_an_end() -> None:
    found = outline("junk\n" * 1_000_000)
    assert len(found.problems) == MAX_PROBLEMS + 1
    assert "too many problems" in found.problems[-1].reason


def test_sections_have_an_end() -> None:
    found = outline("[x]\n" * (reader.MAX_SECTIONS + 5))
    assert len(found.sections) == reader.MAX_SECTIONS
    assert "more than" in found.problems[-1].reason


def test_a_directory_is_read_where_it_is_included(tmp_path: Path) -> None:
    (tmp_path / "2.conf").write_text("delay = yes\n[two]\naccept = 2\n")
    (tmp_path / "1.conf").write_bytes(b"\xef\xbb\xbfclient = yes\r\n")
    (tmp_path / "sub").mkdir()
    found = outline(f"include = {tmp_path}\nconnect = 3\n")
    assert [(one.row.name, one.place.file) for one in found.defaults.statements] == [
        ("client", f"{tmp_path}/1.conf"),
        ("delay", f"{tmp_path}/2.conf"),
    ]
    (section,) = found.sections
    assert [one.row.name for one in section.statements] == ["accept", "connect"]


def test_an_included_file_is_named_in_its_problems(tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text("; c\nfoo\n")
    (problem,) = outline(f"include = {tmp_path}\n").problems
    assert (problem.place.file, problem.place.line) == (f"{tmp_path}/bad.conf", 2)


def test_what_cannot_be_included_is_a_problem_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in (("/nonexistent", "No such file"), (f"{tmp_path}/file", "Not a directory")):
        (problem,) = outline(f"\ninclude = {path}\n").problems
        assert problem.place.line == 2
        assert f"Failed to include directory: {reason}" in problem.reason


def test_a_directory_that_includes_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text(f"include = {tmp_path}/b\n")
    (tmp_path / "b").symlink_to("a")
    (problem,) = outline(f"include = {tmp_path}/a\n").problems
    assert "includes itself" in problem.reason


def test_directories_may_be_nested_but_not_for_ever(tmp_path: Path) -> None:
    for depth in range(reader.MAX_INCLUDE_DEPTH + 1):
        (tmp_path / str(depth)).mkdir()
        (tmp_path / str(depth) / "f").write_text(f"include = {tmp_path}/{depth + 1}\n")
    (problem,) = outline(f"include = {tmp_path}/0\n").problems
    assert "nested deeper" in problem.reason
    (tmp_path / "3" / "f").write_text("delay = yes\n")
    assert outline(f"include = {tmp_path}/0\n").problems == []


def test_included_files_have_an_end(tmp_path: Path) -> None:
    # Each level reads the next one 10 times: 10 ** 6 files without a limit.
    for depth in range(6):
        (tmp_path / str(depth)).mkdir()
        for number in range(10):
            (tmp_path / str(depth) / str(number)).write_text(f"include = {tmp_path}/{depth + 1}\n")
    (tmp_path / "6").mkdir()
    found = outline(f"include = {tmp_path}/0\n")
    assert "files are included" in found.problems[-1].reason


def test_a_comment_after_a_value_that_does_not_parse_is_pointed_out() -> None:
    (problem,) = outline("[x]\ndelay = yes ; only here\n").problems
    assert problem.hint == "a comment needs a line of its own"
