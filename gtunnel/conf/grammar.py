"""The grammar of a configuration file: bytes to statements. Knows no option and reads no file.

Lines end at LF; white space (C's, CR included) around a line and around the first `=` does not count. A line is blank,
a comment (`;` or `#` first), a `[section]`, or `name = value`; there are no comments after a value and no quotes. What
stunnel 5.68 takes silently and cannot mean anything (a NUL, other control characters, bytes that are no UTF-8) is a
problem here; in a comment anything may stand.
"""

import codecs
import re
from collections.abc import Iterator

from gtunnel.conf.errors import Problem, Reason
from gtunnel.conf.settings import Place
from gtunnel.conf.table import is_secret
from gtunnel.values import dataclass

# stunnel 5.68 reads lines into 16 KiB and takes the rest of a longer line for another one; nothing real comes near.
MAX_LINE_BYTES = 16384

WHITE_SPACE = b" \t\v\f\r"
COMMENT_STARTS = (b";", b"#")
# Its byte-order marks say that a file is in an encoding that no statement can be read from. UTF-32 first: its
# little-endian mark begins with UTF-16's.
FOREIGN_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
MASKED = "***"
_WORD = re.compile(r"[A-Za-z0-9]*")


@dataclass(frozen=True, slots=True)
class Section:
    """`[name]`: the name as it stands between the brackets."""

    place: Place
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name = value`, both without white space around them. `text` is the line, fit for a message (secrets masked)."""

    place: Place
    text: str
    name: str
    value: str


Line = Section | Assignment | Problem


def split(data: bytes, file: str) -> Iterator[Line]:
    """The statements of a file in order, and problems where a line is none."""
    for mark, encoding in FOREIGN_MARKS:
        if data.startswith(mark):
            yield Problem(Place(file, 0), "", f"the file is in {encoding}; UTF-8 is needed")
            return
    body = data.removeprefix(codecs.BOM_UTF8)
    for number, raw in enumerate(body.split(b"\n"), start=1):
        stripped = raw.strip(WHITE_SPACE)
        if len(raw) > MAX_LINE_BYTES:
            yield Problem(Place(file, number), "", f"the line is longer than {MAX_LINE_BYTES} bytes")
        elif stripped and not stripped.startswith(COMMENT_STARTS):
            yield statement(stripped, Place(file, number))


def statement(line: bytes, place: Place) -> Line:
    """Read one line that is neither blank nor a comment."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Problem(place, masked(line.decode(errors="backslashreplace")), "the line is not UTF-8")
    strange = next((c for c in text if (c < " " and c != "\t") or c == "\x7f"), None)
    if strange is not None:
        return Problem(place, masked(text), f"the line has a control character (byte {ord(strange):#04x})")
    if text.startswith("[") and text.endswith("]"):
        return Section(place, text, text[1:-1])
    name, equals, value = text.partition("=")
    if not equals:
        return Problem(place, masked(text), Reason.NO_EQUALS_SIGN)
    return Assignment(place, masked(text), name.rstrip(" \t"), value.lstrip(" \t"))


def masked(text: str) -> str:
    """The line without the value if that may be a secret."""
    first = _WORD.match(text)
    word = first[0] if first else ""
    # A value may end in `=`, too, with the sign after the name forgotten: so the word is all of it that is shown.
    if not is_secret(word) and not is_secret(text.partition("=")[0].strip()):
        return text
    return f"{word} = {MASKED}" if text[len(word) :].lstrip().startswith("=") else f"{word} {MASKED}"
