"""Markdown of a small kind into a manual page (man(7)): what `tools/make-manual` writes docs/man with.

Its first line is `# NAME(8) - MANUAL`. `##` begins a section, `###` a part of one, `####` an item with a heading, whose
paragraphs are indented up to the next heading. `- ` begins an item of a list, four blanks a line that stays as it is.
Within paragraphs there are `code`, **bold** and [text](link), of which the page has the text.
"""

import re
from collections.abc import Iterator
from textwrap import TextWrapper

# groff(7): what stands for itself in a terminal and in what is copied from it.
_ESCAPES = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti", "`": "\\(ga"})
_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>.+?)\*\*|\[(?P<text>[^]]+)\]\([^)]*\)")

# Values such as lists of ciphers, which would not fit a line.
_LIST = re.compile(r"\S{40,}")
# A page's source is read, too: 78 columns, and nothing inside of a word is a place to break at.
_WRAP = TextWrapper(width=78, break_long_words=False, break_on_hyphens=False).wrap


def page(markdown: str, *, date: str, source: str) -> str:
    """A page. The first line is `# NAME(SECTION) - MANUAL`; the rest are sections."""
    lines = markdown.splitlines()
    match = re.fullmatch(r"# (\S+)\((\d)\) - (.+)", lines[0])
    if match is None:
        raise ValueError(f"no title: {lines[0]!r}")
    name, section, manual = match.groups()
    head = [
        '.\\" Made by tools/make-manual: change its sources instead.',
        f'.TH "{_escape(name.upper())}" {section} {date} "{source}" "{manual}"',
        # No hyphens that nobody wrote, and no gaps to fill a line with.
        ".nh",
        ".ad l",
    ]
    return "\n".join([*head, *_body(_blocks(lines[1:]))]) + "\n"


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Paragraphs, headings and examples: lines that belong together. Blank lines inside of an example stay."""
    block: list[str] = []
    for line in lines:
        example = bool(block) and block[0].startswith("    ")
        if not line.strip():
            if example:
                block.append("")
            elif block:
                yield block
                block = []
            continue
        starts_anew = line.startswith(("#", "- ")) or (example and not line.startswith("    "))
        if block and starts_anew:
            yield block
            block = []
        block.append(line)
        if line.startswith("#"):
            yield block
            block = []
    if block:
        yield block


def _body(blocks: Iterator[list[str]]) -> Iterator[str]:
    in_item = fresh = False
    for block in blocks:
        first = block[0]
        mark, _, heading = first.partition(" ")
        if mark in {"##", "###"}:
            in_item, fresh = False, True
            yield f".SH {_quoted(heading.upper())}" if mark == "##" else f".SS {_quoted(heading)}"
        elif mark == "####":
            in_item = fresh = True
            yield from (".TP", f".B {_quoted(heading)}")
        elif first.startswith("    "):
            while not block[-1]:
                block.pop()
            # Indented further than the text around it, and set apart from it.
            yield from (*(() if fresh and not in_item else (".PP",) if not in_item else ()), ".RS 4", ".nf")
            yield from (_line(_escape(line[4:])) for line in block)
            yield from (".fi", ".RE")
            fresh = False
        elif first.startswith("- "):
            yield ".IP \\(bu 2"
            yield _text([first[2:], *block[1:]])
            fresh = False
        else:
            if not fresh:
                yield ".IP" if in_item else ".PP"
            yield _text(block)
            fresh = False


def _text(lines: list[str]) -> str:
    """A paragraph, a sentence to a line, as manual pages have it."""
    text = " ".join(line.strip() for line in lines)
    sentences = re.split(r"(?<=[.?!:;]) +(?=\S)", _inline(text))
    return "\n".join(_line(line) for sentence in sentences for line in _WRAP(sentence))


def _inline(text: str) -> str:
    parts, end = [], 0
    for match in _INLINE.finditer(text):
        parts.append(_escape(text[end : match.start()]))
        marked = match["code"] or match["bold"]
        parts.append(f"\\fB{_escape(marked)}\\fR" if marked else _escape(match["text"]))
        end = match.end()
    return "".join((*parts, _escape(text[end:])))


def _escape(text: str) -> str:
    """Hyphens are minus signs: what is copied from the page into a file has to be what it was. Long lists may break."""
    return _LIST.sub(lambda match: match[0].replace(":", ":\\:"), text.translate(_ESCAPES))


def _line(text: str) -> str:
    """A line that is no request, whatever it begins with."""
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _quoted(text: str) -> str:
    return '"' + _escape(text).replace('"', "\\(dq") + '"'
