"""A byte stream becomes the same frames however it is cut, and never holds more than it may."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.protocol.frames import FRAME_COST_BYTES, HEADER_BYTES, FrameReader, frame

frames = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), max_size=8)


def stream_of(parts):
    return b"".join([frame(code, payload) for code, payload in parts])


def read_in(reader, pieces):
    return [entry for piece in pieces for entry in reader.feed(piece)]


def test_layout():
    assert frame(0x0E, b"abc") == b"\x0e\x00\x00\x00\x03abc"
    assert frame(8, b"") == b"\x08\x00\x00\x00\x00"


@given(frames)
def test_round_trip_at_once_and_in_single_bytes(parts):
    stream = stream_of(parts)
    assert FrameReader().feed(stream) == parts
    assert read_in(FrameReader(), [stream[i : i + 1] for i in range(len(stream))]) == parts


@given(frames.filter(bool))
def test_round_trip_cut_in_two_at_every_byte(parts):
    stream = stream_of(parts)
    for cut in range(len(stream) + 1):
        reader = FrameReader()
        assert read_in(reader, [stream[:cut], stream[cut:]]) == parts
        assert reader.buffered_bytes == 0


@given(frames, st.data())
def test_round_trip_cut_anywhere(parts, data):
    stream = stream_of(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert read_in(FrameReader(), pieces) == parts


@given(frames, st.integers(0, 255), st.binary(min_size=1, max_size=30))
def test_a_frame_comes_out_with_its_last_byte_and_not_before(parts, code, payload):
    reader = FrameReader()
    last = frame(code, payload)
    assert reader.feed(stream_of(parts) + last[:-1]) == parts
    assert reader.buffered_bytes == len(last) - 1
    assert reader.feed(last[-1:]) == [(code, payload)]
    assert reader.buffered_bytes == 0


@given(frames, st.integers(11, 2**32 - 1), st.binary(max_size=50))
def test_oversize_stops_the_reader(parts, declared, more):
    parts = [(code, payload[:10]) for code, payload in parts]
    reader = FrameReader(payload_bytes_max=10)
    header = b"\x02" + declared.to_bytes(4, "big")
    assert reader.feed(stream_of(parts) + header + more) == parts
    assert reader.oversize_bytes == declared
    assert reader.feed(more) == reader.feed(frame(8, b"")) == []
    assert reader.buffered_bytes == 0


def test_oversize_is_seen_when_the_header_came_in_pieces():
    reader = FrameReader(payload_bytes_max=10)
    for byte in b"\x02\x00\x00\x00\x0b":
        assert reader.feed(bytes([byte])) == []
    assert reader.oversize_bytes == 11
    assert reader.buffered_bytes == 0


def test_the_limit_itself_is_accepted():
    assert FrameReader(10).feed(frame(2, bytes(10))) == [(2, bytes(10))]
    reader = FrameReader(10)
    assert reader.feed(frame(2, bytes(11))) == []
    assert reader.oversize_bytes == 11


@pytest.mark.parametrize("declared", [64 * 1024 * 1024, 2**32 - 1])
def test_a_declared_length_allocates_nothing(declared):
    header = b"\x02" + declared.to_bytes(4, "big")
    tracemalloc.start()
    try:
        reader = FrameReader()
        for _ in range(20):
            assert reader.feed(header if not reader.buffered_bytes else b"x") == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000
    assert reader.buffered_bytes <= HEADER_BYTES + 20


@given(st.binary(max_size=200), st.integers(0, 60))
def test_garbage_never_raises(data, payload_bytes_max):
    reader = FrameReader(payload_bytes_max)
    for code, payload in read_in(reader, [data[:7], data[7:]]):
        assert 0 <= code <= 255
        assert len(payload) <= payload_bytes_max


@given(frames, st.integers(1, 800), st.integers(1, 40))
def test_in_portions_as_at_once(parts, budget_bytes, cut):
    """Pushed in any pieces and taken in any portions, before or after all else was taken."""
    stream = b"".join(frame(code, payload) for code, payload in parts)
    reader, found = FrameReader(), []
    for start in range(0, len(stream), cut):
        reader.push(stream[start : start + cut])
        found += reader.take(budget_bytes)
    while reader.has_more:
        portion = reader.take(budget_bytes)
        assert sum(len(payload) + FRAME_COST_BYTES for _, payload in portion[:-1]) < budget_bytes
        found += portion
    assert found == parts
    assert reader.frames_taken == len(parts)
    assert not reader.is_in_frame
