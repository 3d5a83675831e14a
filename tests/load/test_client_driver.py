"""The client driver's window: its process is set up for measuring, and restored afterwards."""

from __future__ import annotations

import gc
import sys

import pytest

from kvbench.load.calls import Call, Op
from kvbench.load.client_driver import SWITCH_S, ClientDriver
from kvbench.registry import open_backend


def endless():
    while True:
        yield Call(Op.GET, ["key"])


def test_threads_switch_often_and_nothing_is_collected_in_a_window():
    seen = set()

    def perform(backend):
        def carry_out(call):
            seen.add((sys.getswitchinterval(), gc.isenabled()))
            return int(backend.get(call.keys[0]) is not None)

        return carry_out

    before = sys.getswitchinterval(), gc.isenabled()
    with open_backend("memory://") as backend:
        driver = ClientDriver([backend] * 2, [endless(), endless()], perform, requests=1)
        tally = driver.closed_loop(0, 20_000_000)
    [(switch_s, collects)] = seen
    assert switch_s == pytest.approx(SWITCH_S) and not collects
    assert (sys.getswitchinterval(), gc.isenabled()) == before
    assert tally.calls == tally.misses > 0


def test_an_adapters_own_error_ends_the_window():
    def perform(_):
        def carry_out(call):
            raise ZeroDivisionError("an adapter's mistake")

        return carry_out

    with open_backend("memory://") as backend, pytest.raises(ZeroDivisionError):
        ClientDriver([backend] * 3, [endless()] * 3, perform, requests=1).closed_loop(0, 10**9)
