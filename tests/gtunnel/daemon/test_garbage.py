"""A worker's garbage collector. Each test is a process of its own: what it freezes is nothing for pytest's."""

import json
import subprocess
import sys
from textwrap import dedent

from tests.support.tunnels import ROOT

PRELUDE = """
import gc, json, weakref
from gtunnel.daemon import garbage

class Knot:
    def __init__(self):
        self.itself = self

now = 0.0
passes = garbage.Passes(lambda: now)

def looked_at():
    return sum(len(gc.get_objects(number)) for number in range(3))

def crowd():
    return [[] for _ in range(300_000)]
"""


def run(script: str) -> object:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + dedent(script)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return json.loads(done.stdout)


def test_what_has_survived_a_full_pass_is_not_looked_at_by_the_next() -> None:
    result = run("""
        gc.disable()
        kept = crowd()
        before = looked_at()
        gc.collect()
        print(json.dumps([before > 300_000, looked_at() < 1000]))
    """)
    assert result == [True, True]


def test_passes_that_nobody_asked_for_are_short() -> None:
    result = run("""
        passes_of = []
        gc.callbacks.append(lambda phase, info: passes_of.append(looked_at()) if phase == "start" else None)
        kept = [[] for _ in range(30)]
        for _ in range(300_000):
            kept.append([])
        print(json.dumps(max(passes_of)))
    """)
    # A middle pass comes after ten young ones of 700 objects each.
    assert isinstance(result, int)
    assert result < 40_000


def test_what_ends_without_a_cycle_is_free_at_once_and_a_cycle_after_an_hour() -> None:
    result = run("""
        kept, knot, plain = crowd(), Knot(), Knot()
        plain.itself = None
        gone, free = weakref.ref(knot), weakref.ref(plain)
        gc.collect()
        del knot, plain
        gc.collect()
        soon = [gone() is None, free() is None]
        now = garbage.THAW_SECONDS
        gc.collect()
        print(json.dumps([soon, gone() is None, looked_at() < 1000]))
    """)
    assert result == [[False, True], True, True]


def test_where_there_is_little_but_what_was_loaded_that_is_left_alone() -> None:
    result = run("""
        loaded = gc.get_freeze_count()
        now = garbage.THAW_SECONDS * 2
        most = 0
        def look(phase, info):
            global most
            most = max(most, looked_at())
        gc.callbacks.append(look)
        gc.collect()
        print(json.dumps([loaded > 5000, most < 1000]))
    """)
    assert result == [True, True]
