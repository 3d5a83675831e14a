"""Tallies of workers add up to what one worker would have measured, also after a way as JSON."""

from __future__ import annotations

import msgspec
import pytest

from kvbench.histogram import Histogram, HistogramCounts
from kvbench.load.calls import Call, Op
from kvbench.load.tally import SERVICE_TIME, SINCE_SENT, SLICE_NS, LoadTally, merged_tallies


def counts_of(*durations_ns: int) -> HistogramCounts:
    histogram = Histogram()
    histogram.record_many(durations_ns)
    return histogram.to_counts()


def first() -> LoadTally:
    return LoadTally(
        latency={SERVICE_TIME: counts_of(10, 20)},
        calls=3, requests=4, keys=40, hits=30, misses=10, errors={"OOM": 1, "timeout": 2},
        late=1, unsent=2, broken=1, timeline_keys=[10, 30], timeline_max_ns=[15, 20],
        elapsed_ns=200, cpu_ns=50,
    )  # fmt: skip


def second() -> LoadTally:
    return LoadTally(
        latency={SERVICE_TIME: counts_of(5), SINCE_SENT: counts_of(7)},
        calls=1, requests=1, keys=10, hits=1, misses=9, errors={"OOM": 4},
        late=2, unsent=3, broken=2, timeline_keys=[1, 2, 3], timeline_max_ns=[99, 0, 1],
        elapsed_ns=250, cpu_ns=60,
    )  # fmt: skip


BOTH = LoadTally(
    latency={SERVICE_TIME: counts_of(5, 10, 20), SINCE_SENT: counts_of(7)},
    calls=4, requests=5, keys=50, hits=31, misses=19, errors={"OOM": 5, "timeout": 2},
    late=3, unsent=5, broken=3, timeline_keys=[11, 32, 3], timeline_max_ns=[99, 20, 1],
    elapsed_ns=250, cpu_ns=110,
)  # fmt: skip


def test_tallies_add_up_in_any_order():
    assert merged_tallies([first(), second()]) == BOTH
    assert merged_tallies([second(), first()]) == BOTH


def test_merging_changes_only_the_one_that_it_adds_to():
    other = second()
    first().merge(other)
    assert other == second()
    assert merged_tallies([]) == LoadTally()


def test_a_tally_travels_as_json():
    received = msgspec.json.decode(msgspec.json.encode(BOTH), type=LoadTally)
    assert received == BOTH
    assert received.histogram(SERVICE_TIME).max_ns == 20
    assert received.histogram("no such name").samples == 0


def test_a_damaged_histogram_leaves_the_tally_as_it_was():
    tally = first()
    with pytest.raises(ValueError, match="not a histogram"):
        tally.merge(LoadTally(latency={SERVICE_TIME: HistogramCounts([3], [1], 4, 4)}, calls=1))
    assert tally == first()


def test_silence_is_the_longest_run_of_slices_without_an_answer():
    tally = LoadTally(timeline_max_ns=[0, 5, 0, 0, 7, 0])
    assert tally.longest_silence_ns() == 2 * SLICE_NS
    assert (
        LoadTally(timeline_max_ns=[4]).longest_silence_ns() == LoadTally().longest_silence_ns() == 0
    )


@pytest.mark.parametrize(
    ("op", "keys", "values"),
    [
        (Op.GET, [], []),
        (Op.GET, ["k"], [b"v"]),
        (Op.SET, ["k"], []),
        (Op.READ_MODIFY_WRITE, ["k", "l"], [b"v"]),
    ],
)
def test_a_call_has_keys_and_the_values_that_its_operation_stores(op, keys, values):
    with pytest.raises(ValueError, match="a call of"):
        Call(op, keys, values)


def test_calls_name_their_operation():
    assert Call(Op("read_modify_write"), ["k"], [b"v"]).op.writes_values
    assert not Call(Op.EXISTS, ["k"]).op.writes_values
