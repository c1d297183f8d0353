"""The manual pages and docs/options.md: they say what the table says, in a form that every reader of pages takes."""

import argparse
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtunnel.cli.main import SUBCOMMANDS
from gtunnel.conf.load import parse_text

ROOT = Path(__file__).resolve().parent.parent
PAGES = tuple(ROOT / "docs/man" / name for name in ("gtunnel.8", "gtunnel3.8", "gtunnel.conf.5"))
CONF = (ROOT / "docs/man/gtunnel.conf.5.md").read_text()
COMMAND = (ROOT / "docs/man/gtunnel.8.md").read_text()
EXAMPLES = re.findall(r"(?m)(?:^    .*\n|^\n(?=    ))+", CONF.partition("## EXAMPLES")[2])


def test_they_are_made_from_the_table_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "tools/make-manual", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(
    "program",
    [
        ["mandoc", "-Tlint", "-Wstyle"],
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        ["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"],
    ],
    ids=lambda program: program[0],
)
def test_readers_of_pages_find_nothing_wrong(page: Path, program: list[str]) -> None:
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    done = subprocess.run([*program, page], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert program[0] != "mandoc" or done.stdout == ""


def test_the_examples_are_found() -> None:
    assert len([example for example in EXAMPLES if example.strip()]) == 10


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example.strip()])
def test_the_examples_are_configurations(example: str) -> None:
    text = re.sub(r"(?m)^    ", "", example)
    # Any group will do here; Debian's is not everywhere.
    assert parse_text(re.sub(r"(?m)^setgid = .*$", "setgid = 65534", text)).services


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from parsers(sub)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_command_and_its_options_are_there(name: str) -> None:
    commands = argparse.ArgumentParser(prog="gtunnel").add_subparsers(prog="gtunnel")
    importlib.import_module(f"gtunnel.cli.{name}").add_parser(commands)
    for parser in parsers(commands.choices[name]):
        for word in parser.prog.split()[1:]:
            assert re.search(rf"\b{word}\b", COMMAND), parser.prog
        for action in parser._actions:
            for option in action.option_strings:
                assert option in {"-h", "--help"} or option in COMMAND, f"{parser.prog} {option}"
