"""The checks of the source tree find what they are there for."""

from pathlib import Path

import pytest

from tests import check_layout


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small source tree in which all is well."""
    monkeypatch.setattr(check_layout, "ROOT", tmp_path)
    monkeypatch.setattr(check_layout, "UNTESTED", {})
    for path in ("gtunnel/__init__.py", "gtunnel/a.py", "gtunnel/tls/openssl/b.py", "netsetup/c.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for path in ("tests/gtunnel/test_a.py", "tests/gtunnel/tls/openssl/test_b.py", "tests/netsetup/test_c.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def test_a_good_tree_has_no_complaints(tree: Path) -> None:
    (tree / "gtunnel/tls/openssl/b.py").write_text("from OpenSSL._util import lib\n")
    assert list(check_layout.complaints()) == []


def test_a_module_without_tests_is_named(tree: Path) -> None:
    (tree / "tests/netsetup/test_c.py").unlink()
    assert list(check_layout.complaints()) == ["netsetup/c.py: has no tests in tests/netsetup/test_c.py"]


@pytest.mark.parametrize("line", ["import gevent.monkey", "from gevent import monkey", "from gevent.monkey import x"])
def test_monkey_patching_is_found(tree: Path, line: str) -> None:
    (tree / "gtunnel/a.py").write_text(f"\n{line}\n")
    assert list(check_layout.complaints()) == ["gtunnel/a.py:2: imports gevent.monkey"]


@pytest.mark.parametrize(
    "line", ["from OpenSSL._util import lib", "from OpenSSL.SSL import _lib", "import OpenSSL._util"]
)
def test_private_bindings_are_for_one_room(tree: Path, line: str) -> None:
    (tree / "gtunnel/a.py").write_text(line)
    (outside,) = check_layout.complaints()
    assert outside == "gtunnel/a.py:1: touches OpenSSL's private bindings outside of gtunnel/tls/openssl"


def test_dataclasses_that_cost_a_start_too_much_are_found(tree: Path) -> None:
    for path in ("gtunnel/a.py", "netsetup/c.py"):
        (tree / path).write_text("from dataclasses import dataclass, field\n")
    assert list(check_layout.complaints()) == ["gtunnel/a.py:1: dataclass is imported from gtunnel.values here"]


def test_an_excuse_for_what_is_gone_is_found(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree.exists()
    monkeypatch.setattr(check_layout, "UNTESTED", {"gtunnel/gone.py": "it was short"})
    assert any("gtunnel/gone.py" in line for line in check_layout.complaints())
