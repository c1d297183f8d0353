"""What may come in handshake records that OpenSSL does not see."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.tls.tickets import TicketReader


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3) + body


TICKETS = message(4, b"t" * 200) + message(4, b"") + message(4, bytes([24]) * 30)


def refusals(content: bytes, cuts: list[int]) -> list[str]:
    reader = TicketReader()
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    return [reader.refusal(content[start:end]) for start, end in pairwise(edges)]


@given(st.lists(st.integers(0, len(TICKETS)), max_size=10))
def test_tickets_are_passed_over_however_they_are_cut(cuts: list[int]) -> None:
    assert not any(refusals(TICKETS, cuts))


@given(st.lists(st.integers(0, len(TICKETS) + 5), max_size=10))
def test_a_key_update_is_refused_by_its_name_wherever_it_begins(cuts: list[int]) -> None:
    said = refusals(TICKETS + message(24, b"\0"), cuts)
    assert any("KeyUpdate" in one for one in said)


@pytest.mark.parametrize("kind", [0, 1, 13])
def test_anything_else_is_unexpected(kind: int) -> None:
    assert TicketReader().refusal(message(kind, b"x")) == "SSL routines::unexpected message"


@given(st.binary(max_size=100))
def test_any_bytes_are_taken_or_refused(content: bytes) -> None:
    assert isinstance(TicketReader().refusal(content), str)
