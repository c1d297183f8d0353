"""What a misspelt name was perhaps meant to be."""

from collections.abc import Iterable

# Below this ratio of equal letters a suggestion confuses more than it helps.
_SIMILAR = 0.7
# Longer than any name can be meant; comparing costs time with the square of it.
_MAX_COMPARED = 64


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is most like `name`, in any case; None if nothing is near."""
    # Here, not at the top: files without a mistake are many, and each start reads one.
    import difflib

    spellings = {spelling.lower(): spelling for spelling in names}
    found = difflib.get_close_matches(name.lower()[:_MAX_COMPARED], spellings, n=1, cutoff=_SIMILAR)
    return spellings[found[0]] if found else None


def suggestion(name: str, names: Iterable[str]) -> str:
    """`; did you mean "NAME"?` to end a reason with; "" if nothing is near."""
    meant = nearest(name, names)
    return f'; did you mean "{meant}"?' if meant else ""
