"""Alarms ring in order, never early, and close to their time, on every loop and timer."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from kvbench.event_loop import loop_factory
from kvbench.proxy.alarms import Alarms

LOOPS = [asyncio.new_event_loop, loop_factory()]
BOTH = pytest.mark.parametrize("with_timerfd", [True, False], ids=["timerfd", "loop timer"])
ON_LOOPS = pytest.mark.parametrize("factory", LOOPS, ids=["asyncio", "fastest"])


def ring(factory, with_timerfd, delays_ns):
    """Set one alarm for each delay at once; (delay, how late it rang) in the order of ringing."""

    async def run():
        alarms = Alarms(asyncio.get_running_loop(), with_timerfd=with_timerfd)
        rung, start_ns = [], time.monotonic_ns()
        done = asyncio.Event()

        def note(delay_ns):
            rung.append((delay_ns, time.monotonic_ns() - start_ns - delay_ns))
            if len(rung) == len(delays_ns):
                done.set()

        for delay_ns in delays_ns:
            alarms.call_at(start_ns + delay_ns, lambda delay_ns=delay_ns: note(delay_ns))
        async with asyncio.timeout(10):
            await done.wait()
        alarms.close()
        alarms.close()
        return rung

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(run())


@BOTH
@ON_LOOPS
def test_alarms_ring_in_order_and_never_early(factory, with_timerfd):
    delays_ns = [3_000_000, 250_000, 0, 1_000_000, 1_000_001, 250_000]
    rung = ring(factory, with_timerfd, delays_ns)
    assert [delay_ns for delay_ns, _ in rung] == sorted(delays_ns)
    assert min(late_ns for _, late_ns in rung) >= 0


@BOTH
@ON_LOOPS
def test_alarms_are_exact_to_a_fraction_of_a_millisecond(factory, with_timerfd):
    """A quarter of 50 alarms is under 0.1 ms late, in the best of five attempts.

    On a quiet machine that is 0.003 ms, and half of them are under 0.004 ms. With a timer that is
    rounded up to a millisecond the quarter is 0.3 ms late.
    """
    quarters = []
    for _ in range(5):
        rung = ring(factory, with_timerfd, [4_700_000 * number for number in range(1, 71)])
        later = [late_ns for _, late_ns in rung[20:]]  # It learns how long a wake-up takes.
        quarters.append(statistics.quantiles(later, n=4)[0])
    assert min(quarters) < 100_000


@BOTH
def test_an_alarm_that_fails_does_not_stop_the_others(with_timerfd):
    async def run():
        loop = asyncio.get_running_loop()
        failures = []
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        alarms = Alarms(loop, with_timerfd=with_timerfd)
        rung = asyncio.Event()
        start_ns = time.monotonic_ns()
        alarms.call_at(start_ns + 1_000_000, lambda: 1 // 0)
        alarms.call_at(start_ns + 1_000_000, rung.set)
        async with asyncio.timeout(5):
            await rung.wait()
        alarms.close()
        assert [type(failure) for failure in failures] == [ZeroDivisionError]

    asyncio.run(run())


@BOTH
def test_closed_alarms_do_not_ring(with_timerfd):
    async def run():
        alarms = Alarms(asyncio.get_running_loop(), with_timerfd=with_timerfd)
        rung = []
        alarms.call_at(time.monotonic_ns() + 2_000_000, lambda: rung.append(1))
        alarms.close()
        await asyncio.sleep(0.01)
        assert not rung

    asyncio.run(run())
