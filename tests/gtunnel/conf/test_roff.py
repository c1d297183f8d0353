import shutil
import subprocess
from pathlib import Path

import pytest

from gtunnel.conf.roff import page

HEAD = "# x(8) - Tests\n\n## NAME\n\nx - a page\n\n## TEXT\n\n"


def body(markdown: str) -> list[str]:
    """What becomes of a section's text."""
    made = page(HEAD + markdown, date="2026-11-21", source="x 1")
    return made.partition('.SH "TEXT"\n')[2].splitlines()


def test_the_title_stands_in_the_first_line() -> None:
    lines = page(HEAD, date="2026-11-21", source="x 1").splitlines()
    assert lines[1] == '.TH "X" 8 2026-11-21 "x 1" "Tests"'
    assert lines[-1] == '.SH "TEXT"'


def test_without_a_title_it_is_no_page() -> None:
    with pytest.raises(ValueError, match="no title"):
        page("## NAME", date="2026-11-21", source="x 1")


def test_a_sentence_has_its_line() -> None:
    assert body("One. Two\nlines: three.\n\nNext.") == ["One.", "Two lines:", "three.", ".PP", "Next."]


def test_marks_become_fonts_and_links_their_text() -> None:
    assert body("`a-b`, **c** and [d](https://example.com/)") == ["\\fBa\\-b\\fR, \\fBc\\fR and d"]


def test_nothing_of_the_text_is_a_request_or_an_escape() -> None:
    assert body(".so x\n\n'tis C:\\n ~^`") == ["\\&.so x", ".PP", "\\(aqtis C:\\en \\(ti\\(ha\\(ga"]


def test_an_item_keeps_its_paragraphs_and_examples() -> None:
    lines = body('#### say "a"\n\nOne.\n\nTwo.\n\n    a = 1\n\n    b = 2\n\n### After\n\nThree.')
    assert lines == [
        *(".TP", '.B "say \\(dqa\\(dq"', "One.", ".IP", "Two."),
        *(".RS 4", ".nf", "a = 1", "", "b = 2", ".fi", ".RE"),
        *('.SS "After"', "Three."),
    ]


def test_lists() -> None:
    assert body("All:\n\n- one\n- two,\n  longer") == ["All:", ".IP \\(bu 2", "one", ".IP \\(bu 2", "two, longer"]


def test_long_values_may_break_at_their_colons() -> None:
    assert body("A" * 30 + ":" + "B" * 30) == ["A" * 30 + ":\\:" + "B" * 30]


@pytest.mark.parametrize("program", [["mandoc", "-Tlint", "-Wstyle"], ["groff", "-man", "-Tutf8", "-ww", "-z"]])
def test_other_programs_find_nothing_wrong(program: list[str], tmp_path: Path) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    file = tmp_path / "x.8"
    text = "A.\n\n    code\n\n#### item = x\n\nText, `code`.\n\n    .more 'code'\n\nAfter.\n\n- a\n- b\n\n"
    text += "## MORE\n\n    code\n"
    file.write_text(page(HEAD + text, date="2026-11-21", source="x 1"))
    done = subprocess.run([*program, file], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")
