"""The configurations that docs/ shows, as tests run them: the pages' own text, with the machine's places instead."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
_BLOCK = re.compile(r"^```[a-z]*\n[;#] (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(page: str, title: str, places: dict[str, object]) -> str:
    """The block of a page that begins with a comment, this title. Each of `places` must be in it, and is replaced
    by what it is here, in their order."""
    found = dict(_BLOCK.findall((DOCS / page).read_text()))
    assert title in found, f"{page} has the blocks {', '.join(found)}"
    text = str(found[title])
    for place in places:
        assert place in text, f"{page}: {place!r} is not in the block {title!r}"
    if not places:
        return text
    # At once: what was put in is not looked at again.
    pattern = "|".join(map(re.escape, places))
    return re.sub(pattern, lambda match: str(places[match[0]]), text)
