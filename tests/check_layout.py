"""Checks of the source tree that no linter makes: run by `make check`.

- Every module has its test file at the same path: gtunnel/conf/parse.py and tests/gtunnel/conf/test_parse.py.
- Nobody imports gevent.monkey: gevent's sockets, events and pools are named where they are used.
- Only gtunnel/tls/openssl touches OpenSSL's private bindings.
- gtunnel's dataclasses are those of gtunnel.values, which cost a start less (netsetup stands on its own).
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gtunnel", "netsetup")
# Modules that have nothing to test by themselves, each with its reason.
UNTESTED = {
    "gtunnel/version.py": "one constant",
}
# The one package that may import these.
PRIVATE_ROOM = ("gtunnel", "tls", "openssl")
PRIVATE_BINDINGS = ("OpenSSL._util", "cryptography.hazmat.bindings")
# OpenSSL's modules that hand the private bindings on under a public-looking name.
PRIVATE_NAMES = {"_lib", "_ffi"}


def modules() -> Iterator[Path]:
    """All modules of the packages, relative to the repository. Packages' `__init__` files only re-export."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                yield path.relative_to(ROOT)


def test_of(module: Path) -> Path:
    """Where the tests of a module are."""
    return Path("tests") / module.with_name(f"test_{module.name.lstrip('_')}")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every dotted name that a file imports, with its line; `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def is_private(name: str) -> bool:
    """Whether a name leads to OpenSSL's private bindings."""
    handed_on = name.startswith("OpenSSL.") and name.rpartition(".")[2] in PRIVATE_NAMES
    return name.startswith(PRIVATE_BINDINGS) or handed_on


def complaints() -> Iterator[str]:
    """One line for everything that is wrong."""
    for module in modules():
        if module.as_posix() not in UNTESTED and not (ROOT / test_of(module)).exists():
            yield f"{module}: has no tests in {test_of(module)}"
        for line, name in imports(module):
            if f"{name}.".startswith("gevent.monkey."):
                yield f"{module}:{line}: imports gevent.monkey"
            if is_private(name) and module.parts[: len(PRIVATE_ROOM)] != PRIVATE_ROOM:
                yield f"{module}:{line}: touches OpenSSL's private bindings outside of {'/'.join(PRIVATE_ROOM)}"
            if name == "dataclasses.dataclass" and module.parts[0] == "gtunnel":
                yield f"{module}:{line}: dataclass is imported from gtunnel.values here"
    for name in UNTESTED:
        if not (ROOT / name).exists():
            yield f"{name}: is excused in {Path(__file__).name}, and does not exist"


def main() -> int:
    """Print the complaints. Exit status 1 if there are any."""
    found = list(complaints())
    for line in found:
        print(line)
    print(f"Layout: {len(found)} complaint(s)." if found else "Layout: every module has its tests.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
