"""From files to statements: follows `include`, looks options up, parses values, collects every problem.

What comes out is an `Outline`: which statements there are for the process and for each section. Whether they fit
together is `rules`' business.
"""

from contextlib import suppress
from dataclasses import field

from gtunnel.conf import sources
from gtunnel.conf.errors import Problem, Reason, comment_hint
from gtunnel.conf.grammar import Assignment, Section, split
from gtunnel.conf.option import BadValueError, Row, Scope
from gtunnel.conf.settings import Place
from gtunnel.conf.statements import Statement
from gtunnel.conf.table import INCLUDE, find, is_secret, nearest
from gtunnel.values import dataclass

# Nobody nests directories of configuration parts deeper on purpose.
MAX_INCLUDE_DEPTH = 16
# Directories that include each other crosswise would be read exponentially often.
MAX_INCLUDED_FILES = 10_000
# A section costs a listening socket, and a process has at most about a million descriptors (fs.nr_open).
MAX_SECTIONS = 10_000
# Who has more than this to correct starts with these; a file of another kind would give one per line.
MAX_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class SectionOutline:
    """One `[section]`, without the defaults. `broken` are the options with a line that could not be used, in the
    defaults, too: nothing follows from their absence.
    """

    name: str
    place: Place
    text: str
    statements: list[Statement] = field(default_factory=list)
    broken: list[Row[object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outline:
    """All that was read. `defaults` stands for the part before the first section, service options only."""

    file: str
    process: list[Statement] = field(default_factory=list)
    defaults: SectionOutline = field(default_factory=lambda: SectionOutline("", Place("", 0), ""))
    sections: list[SectionOutline] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class TooManyProblemsError(Exception):
    """Reading stops: MAX_PROBLEMS were found, or a limit makes the rest meaningless."""


def read(data: bytes, file: str) -> Outline:
    """Read a configuration. Never raises: see `Outline.problems`."""
    reader = _Reader(Outline(file))
    with suppress(TooManyProblemsError):
        reader.read(data, file)
    return reader.outline


class _Reader:
    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self._open_directories: list[tuple[int, int]] = []
        self._included_files = 0

    def read(self, data: bytes, file: str) -> None:
        for line in split(data, file):
            match line:
                case Problem():
                    self._report(line)
                case Section():
                    self._section(line)
                case Assignment():
                    self._assignment(line)

    @property
    def _current(self) -> SectionOutline:
        return self.outline.sections[-1] if self.outline.sections else self.outline.defaults

    def _report(self, problem: Problem) -> None:
        self.outline.problems.append(problem)
        if len(self.outline.problems) >= MAX_PROBLEMS:
            self._stop(Problem(problem.place, "", "too many problems: the rest of the configuration was not read"))

    def _stop(self, problem: Problem) -> None:
        self.outline.problems.append(problem)
        raise TooManyProblemsError

    def _section(self, line: Section) -> None:
        if len(self.outline.sections) >= MAX_SECTIONS:
            self._stop(Problem(line.place, line.text, f"there are more than {MAX_SECTIONS} services"))
        section = SectionOutline(line.name, line.place, line.text)
        section.broken.extend(self.outline.defaults.broken)
        self.outline.sections.append(section)

    def _assignment(self, line: Assignment) -> None:
        row = find(line.name, in_section=bool(self.outline.sections))
        if row is None:
            self._unknown(line)
        elif row in INCLUDE:
            self._include(line)
        elif row.ignored:
            self.outline.notes.append(f"{line.place}: option '{row.name}' is ignored: {row.ignored}")
        else:
            self._option(line, row)

    def _unknown(self, line: Assignment) -> None:
        meant = nearest(line.name)
        elsewhere = find(line.name, in_section=False)
        hint = f'did you mean "{meant}"?' if meant else ""
        if elsewhere is not None:
            hint = "it is a global option: it belongs before the first [section]"
        elif meant and (row := find(meant, in_section=True)):
            self._current.broken.append(row)
        self._report(Problem(line.place, line.text, Reason.INVALID_NAME, hint))

    def _option(self, line: Assignment, row: Row[object]) -> None:
        try:
            value = row.read(line.value)
        except BadValueError as error:
            self._current.broken.append(row)
            reason = f"option '{row.name}': {error}" if str(error) == row.refusal else str(error)
            if is_secret(line.name) and not (row.secret and row.works):
                # A parser's reason may quote the value, unless it is a secret's own.
                reason = f"option '{row.name}': {row.refusal}"
            self._report(Problem(line.place, line.text, reason, comment_hint(line.value)))
            return
        statement = Statement(row, value, line.place, line.text)
        (self.outline.process if row.scope is Scope.GLOBAL else self._current.statements).append(statement)

    def _include(self, line: Assignment) -> None:
        try:
            directory, files = sources.identity(line.value), sources.files_in(line.value)
        except sources.SourceError as error:
            self._report(Problem(line.place, line.text, f"Failed to include directory: {error}"))
            return
        if directory in self._open_directories or len(self._open_directories) >= MAX_INCLUDE_DEPTH:
            reason = f"it includes itself, or is nested deeper than {MAX_INCLUDE_DEPTH} directories"
            self._report(Problem(line.place, line.text, f"Failed to include directory: {reason}"))
            return
        self._open_directories.append(directory)
        for file in files:
            self._include_file(file, line)
        self._open_directories.pop()

    def _include_file(self, file: str, line: Assignment) -> None:
        self._included_files += 1
        if self._included_files > MAX_INCLUDED_FILES:
            self._stop(Problem(line.place, line.text, f"more than {MAX_INCLUDED_FILES} files are included"))
        try:
            data = sources.read_file(file)
        except sources.SourceError as error:
            self._report(Problem(line.place, line.text, f"Failed to include {file}: {error}"))
            return
        self.read(data, file)
