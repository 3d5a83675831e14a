"""The turns: who is served when, with workers whose work takes exact times.

A turn of the event loop is one call of what the turns scheduled; the clock moves only by work.
"""

from __future__ import annotations

import asyncio

import pytest

from kvbench.clock import NS_PER_MS, ManualClock
from kvbench.server.turns import ARRIVALS_NS, QUEUE_NS, SHARE_NS, Turns


class Worker:
    """Has so many milliseconds of work, done in pieces of 0.1 ms."""

    def __init__(self, clock, work_ms):
        self.clock, self.left_ms = clock, work_ms
        self.is_queued = self.is_held = False
        self.done_at_ms = None

    @property
    def has_little_to_do(self):
        return self.left_ms <= 0.2

    def work(self, until_ns):
        while self.left_ms > 0 and self.clock.now_ns() < until_ns:
            self.clock.advance_ms(min(0.1, self.left_ms))
            self.left_ms = round(self.left_ms - 0.1, 3)
        if self.left_ms <= 0 and self.done_at_ms is None:
            self.done_at_ms = self.clock.now_ns() / NS_PER_MS
        return self.left_ms > 0

    def set_reading(self):
        self.is_held = self.is_queued


def play(scenario):
    async def run():
        clock = ManualClock()
        await scenario(clock, Turns(clock))

    asyncio.run(run())


def test_a_small_request_is_served_at_once():
    async def scenario(clock, turns):
        worker = Worker(clock, 0.1)
        turns.serve(worker)
        assert worker.done_at_ms is not None
        assert not worker.is_queued

    play(scenario)


def test_who_has_more_than_a_share_waits_unread_and_is_finished_later():
    async def scenario(clock, turns):
        worker = Worker(clock, 20)
        turns.serve(worker)
        assert clock.now_ns() <= SHARE_NS + NS_PER_MS // 5
        assert worker.is_held
        turns.serve(worker)  # Something comes meanwhile: it waits with the rest.
        assert clock.now_ns() <= SHARE_NS + NS_PER_MS // 5
        while worker.is_queued:
            await asyncio.sleep(0)
        assert worker.done_at_ms is not None
        assert not worker.is_held

    play(scenario)


@pytest.mark.parametrize("busy", [1, 10, 300])
def test_a_turn_is_bounded_and_a_small_request_never_waits_long(busy):
    """However many are busy: what one turn takes is bounded, and a new client is done in two."""

    async def scenario(clock, turns):
        flooders = [Worker(clock, 100) for _ in range(busy)]
        for flooder in flooders:
            turns.serve(flooder)
        assert clock.now_ns() <= ARRIVALS_NS + 2 * SHARE_NS
        for _ in range(20):
            before_ns = clock.now_ns()
            await asyncio.sleep(0)
            new_client = Worker(clock, 0.1)
            turns.serve(new_client)
            await asyncio.sleep(0)
            assert new_client.done_at_ms is not None
            assert clock.now_ns() - before_ns <= 2 * (QUEUE_NS + ARRIVALS_NS + 2 * SHARE_NS)

    play(scenario)


def test_a_small_request_waits_behind_no_crowd_that_came_with_it():
    """100 that flood and one that asks for little come in one turn: it is done in the next."""

    async def scenario(clock, turns):
        for _ in range(100):
            turns.serve(Worker(clock, 100))
        new_client = Worker(clock, 0.1)
        turns.serve(new_client)
        await asyncio.sleep(0)
        assert new_client.done_at_ms is not None

    play(scenario)


def test_everyone_busy_comes_to_its_turn():
    """Neither many new clients nor other busy ones keep a busy worker from its share."""

    async def scenario(clock, turns):
        flooders = [Worker(clock, 5) for _ in range(10)]
        for flooder in flooders:
            turns.serve(flooder)
        for _ in range(200):
            for _ in range(50):
                turns.serve(Worker(clock, 0.1))
            await asyncio.sleep(0)
        assert all(flooder.done_at_ms is not None for flooder in flooders)

    play(scenario)


def test_a_worker_that_fails_does_not_stop_the_queue():
    async def scenario(clock, turns):
        failures = []
        asyncio.get_running_loop().set_exception_handler(lambda _, info: failures.append(info))
        bad, good = Worker(clock, 5), Worker(clock, 5)
        turns.serve(bad)
        turns.serve(good)
        bad.work = None
        while good.is_queued:
            await asyncio.sleep(0)
        assert good.done_at_ms is not None
        assert len(failures) == 1

    play(scenario)
