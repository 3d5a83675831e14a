"""The log of calls grows and shrinks whatever keeps its frames."""

from __future__ import annotations

import sys
from types import FrameType

from kvbench.load.tally import SERVICE_TIME, LoadTally
from kvbench.load.wire.call_log import CallLog


def test_a_profiler_that_keeps_frames_does_not_stop_the_log():
    """As Dask's, which looks at the worker's frames every 10 ms."""
    log = CallLog(is_open_loop=False, keys_per_call=1)
    log.begin(0, 1_000_000_000)
    log.done.append(3_000)
    log.sent.append(1_000)
    frames: list[FrameType] = []
    sys.setprofile(lambda frame, event, arg: frames.append(frame))
    try:
        log.count_portion()
    finally:
        sys.setprofile(None)
    log.done.append(9_000)
    log.sent.append(5_000)
    tally = LoadTally()
    log.write(tally)
    assert frames
    assert sum(tally.latency[SERVICE_TIME].counts) == 2
