"""Counting records in bytes that are cut anywhere."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gtunnel.tls.recordcount import CHANGE_CIPHER_SPEC, RecordCounter

DATA = 23

records = st.lists(
    st.tuples(st.sampled_from([DATA, 22, 21, CHANGE_CIPHER_SPEC]), st.binary(max_size=40)).map(
        lambda made: bytes([made[0], 3, 3]) + len(made[1]).to_bytes(2) + made[1]
    ),
    max_size=8,
)


def record(size: int, kind: int = DATA) -> bytes:
    return bytes([kind, 3, 3]) + size.to_bytes(2) + b"x" * size


def fed(data: bytes, cuts: list[int], counter: RecordCounter) -> RecordCounter:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        counter.feed(memoryview(data)[start:end])
    return counter


@given(records, st.lists(st.integers(0, 400), max_size=20), st.binary(max_size=30))
def test_whole_records_are_counted_however_they_are_cut(stream: list[bytes], cuts: list[int], before: bytes) -> None:
    counter = fed(before + b"".join(stream), cuts, RecordCounter(len(before)))
    assert counter.count == sum(one[0] != CHANGE_CIPHER_SPEC for one in stream)
    assert counter.missing == 0
    assert bytes(counter.last) == (stream[-1] if stream else b"")


@given(records, st.lists(st.integers(0, 400), max_size=20), st.integers(0, 400))
def test_what_is_missing_leads_to_a_boundary_and_never_beyond(stream: list[bytes], cuts: list[int], end: int) -> None:
    """However often it is asked for: this is what a socket is read by."""
    data = b"".join(stream)
    end = min(end, len(data))
    counter = fed(data[:end], cuts, RecordCounter())
    boundaries = {sum(map(len, stream[:count])) for count in range(len(stream) + 1)}
    at = end
    while missing := counter.missing:
        counter.feed(data[at : at + missing])
        at += missing
    assert at == min(boundary for boundary in boundaries if boundary >= end)


@given(records, st.lists(st.integers(0, 400), max_size=20))
def test_byte_by_byte_is_as_good_as_whole(stream: list[bytes], cuts: list[int]) -> None:
    data = b"".join(stream)
    assert fed(data, cuts, RecordCounter()).count == fed(data, list(range(len(data))), RecordCounter()).count


def test_a_header_that_has_begun_is_no_boundary() -> None:
    counter = RecordCounter()
    counter.feed(record(7)[:3])
    assert (counter.missing, counter.count) == (2, 0)
    counter.feed(record(7)[3:5])
    assert (counter.missing, counter.count) == (7, 1)


def test_what_comes_before_is_skipped() -> None:
    counter = RecordCounter(skip=10)
    assert counter.missing == 10
    counter.feed(b"y" * 4)
    assert (counter.missing, counter.count) == (6, 0)
    counter.feed(b"y" * 6 + record(3))
    assert (counter.missing, counter.count) == (0, 1)


def test_a_change_of_cipher_spec_has_no_number() -> None:
    counter = RecordCounter()
    counter.feed(record(1, CHANGE_CIPHER_SPEC) + record(2))
    assert counter.count == 1


def test_of_many_records_only_the_newest_is_kept() -> None:
    counter = RecordCounter()
    counter.feed(record(16384) * 8 + record(9)[:6])
    assert len(counter.last) == 6
