"""Load through each store's own Python client: what an application sees.

Every client is a thread with a connection, as in an application with a pool of threads. In a closed
loop each sends its next call when the last one is answered. In an open loop the calls of a schedule
go to the next free client; if none is free they wait, and their latency counts from the intended
time (Tene's wrk2; coordinated omission). The schedule does not slow down for a slow store.

Threads of Python take turns, and by default one may keep the others waiting for 5 ms: that would be
the 99th percentile of every store. During a window they switch after :data:`SWITCH_S`.

A store inside the process has one client: its calls take turns anyway.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np

from kvbench.backend import Backend
from kvbench.bench.arms import gc_off
from kvbench.errors import KvConnectionError, KvError, KvTimeoutError
from kvbench.load.arrivals import Schedule
from kvbench.load.calls import Call, Op
from kvbench.load.client_log import ClientLog, WindowLog, key_latency, tally_of
from kvbench.load.formation import Batches
from kvbench.load.perform import Perform
from kvbench.load.tally import (
    SINCE_INTENDED,
    LoadTally,
    Watch,
)

PAUSE_AFTER_ERROR_S = 0.01
"""A store that refuses at once is not asked more often than this by each client."""

SWITCH_S = 0.0002
"""A thread that computes lets others run after this time: the latency that a client adds."""

_WATCH_S = 0.25

_NAP_NS = 100_000_000
"""A waiting client looks this often whether the run was stopped."""

_PR_SET_TIMERSLACK = 29


@dataclass(slots=True)
class _Timing:
    """A window's beginning and end, and what the clocks showed then."""

    window_ns: int
    end_ns: int
    cpu_start_ns: int = 0
    cpu_end_ns: int = 0
    stopped_ns: int = 0


class ClientDriver:
    """One window of load.

    Args:
        backends: an open backend for each client.
        streams: the calls of each client.
        perform: makes the function that carries out calls on a backend.
        requests: number of requests of a call.
        watch: called a few times a second. The window ends if it raises; its exception is raised.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        streams: Sequence[Iterator[Call]],
        perform: Callable[[Backend], Perform],
        requests: int,
        watch: Watch | None = None,
    ) -> None:
        self._clients = list(zip(map(perform, backends), streams, strict=True))
        self._requests = requests
        self._watch = watch
        self._stop = threading.Event()
        self._unsent: list[int] = []

    def closed_loop(self, warm_up_ns: int, duration_ns: int) -> LoadTally:
        """Send as fast as the answers come. Calls that begin in the window count."""
        begin_ns = time.monotonic_ns()
        end_ns = begin_ns + warm_up_ns + duration_ns

        def client(perform: Perform, calls: Iterator[Call], log: ClientLog) -> None:
            for call in calls:
                sent_ns = time.monotonic_ns()
                if sent_ns >= end_ns or self._stop.is_set():
                    return
                if self._carry_out(perform, call, sent_ns >= begin_ns + warm_up_ns, log):
                    log.sent_ns.append(sent_ns)
                    log.intended_ns.append(sent_ns)

        return tally_of(self._run(client, begin_ns + warm_up_ns, end_ns), is_open=False)

    def open_loop(
        self,
        schedule: Schedule,
        warm_up_ns: int,
        duration_ns: int,
        batches: Batches | None = None,
    ) -> LoadTally:
        """Send on schedule. Calls that were intended in the window count.

        Args:
            schedule: intended times from the beginning of the warm-up; with batches, the arrivals
                of keys.
            warm_up_ns: calls intended earlier are not counted.
            duration_ns: length of the window after the warm-up. Calls that are not sent by its end
                are the tally's unsent ones.
            batches: formed from the keys; a call is sent for each, and the latency since the
                intended time is that of each key since its arrival.
        """
        begin_ns = time.monotonic_ns()
        end_ns = begin_ns + warm_up_ns + duration_ns
        intended = schedule if batches is None else batches.send_ns
        counts = None if batches is None else batches.counts.tolist()
        times: list[int] = (intended + begin_ns).tolist()
        places = count()

        def client(perform: Perform, calls: Iterator[Call], log: ClientLog) -> None:
            _wake_precisely()
            for place in places:  # Shared: each client takes the next call that is due.
                if place >= len(times):
                    return
                intended_ns = times[place]
                call = next(calls)
                if counts is not None:
                    call = Call(call.op, call.keys[: counts[place]], call.values[: counts[place]])
                while (ahead_ns := intended_ns - time.monotonic_ns()) > 0:
                    if self._stop.is_set():
                        return
                    time.sleep(min(ahead_ns, _NAP_NS) / 1e9)
                sent_ns = time.monotonic_ns()
                if sent_ns >= end_ns or self._stop.is_set():
                    self._unsent.append(place)
                    return
                if self._carry_out(perform, call, intended_ns >= begin_ns + warm_up_ns, log):
                    log.sent_ns.append(sent_ns)
                    log.intended_ns.append(intended_ns)
                    log.places.append(place)

        window = self._run(client, begin_ns + warm_up_ns, end_ns)
        tally = tally_of(window, is_open=True)
        first = min(self._unsent, default=next(places))
        if not self._stop.is_set():
            tally.unsent = int(np.count_nonzero(intended[first:] >= warm_up_ns))
        if batches is not None:
            tally.latency[SINCE_INTENDED] = key_latency(window, schedule + begin_ns, batches)
        return tally

    def _carry_out(self, perform: Perform, call: Call, is_counted: bool, log: ClientLog) -> bool:
        """Carry out a call and log its end; returns whether the caller logs its beginning."""
        try:
            found = perform(call)
        except KvError as error:
            if is_counted:
                log.errors[kind_of(error)] += self._requests
                log.failed_calls += 1
            self._stop.wait(PAUSE_AFTER_ERROR_S)
            return False
        if not is_counted:
            return False
        log.done_ns.append(time.monotonic_ns())
        log.requests += self._requests * (2 if call.op is Op.READ_MODIFY_WRITE else 1)
        log.keys += len(call.keys)
        if found is not None:
            log.hits += found
            log.misses += len(call.keys) - found
        return True

    def _run(
        self,
        client: Callable[[Perform, Iterator[Call], ClientLog], None],
        window_ns: int,
        end_ns: int,
    ) -> WindowLog:
        logs = [ClientLog() for _ in self._clients]
        failures: list[BaseException] = []

        def guarded(job: Callable[[], None]) -> None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                failures.append(error)
                self._stop.set()

        jobs = [
            partial(guarded, partial(client, perform, calls, log))
            for (perform, calls), log in zip(self._clients, logs, strict=True)
        ]
        timing = _Timing(window_ns, end_ns)
        # A collection would show as a stall of the store.
        with gc_off(), _switching_often():
            if len(jobs) == 1:
                # A store inside the process may be bound to the thread that opened it: this one.
                keep_time = partial(guarded, partial(self._keep_time, timing, logs))
                alone = threading.Thread(target=keep_time, daemon=True)
                alone.start()
                jobs[0]()
                alone.join()
            else:
                self._run_threads(jobs, timing, logs)
        if failures:
            raise failures[0]
        length_ns = max(1, min(timing.stopped_ns, end_ns) - window_ns)
        return WindowLog(logs, window_ns, length_ns, timing.cpu_end_ns - timing.cpu_start_ns)

    def _run_threads(
        self, jobs: Sequence[Callable[[], None]], timing: _Timing, logs: Sequence[ClientLog]
    ) -> None:
        threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            self._keep_time(timing, logs)
        finally:
            if time.monotonic_ns() < timing.end_ns:
                self._stop.set()
            for thread in threads:
                thread.join()

    def _keep_time(self, timing: _Timing, logs: Sequence[ClientLog]) -> None:
        """Read the clocks at the beginning and the end of the window."""
        self._stop.wait(max(0, timing.window_ns - time.monotonic_ns()) / 1e9)
        timing.cpu_start_ns = time.process_time_ns()
        self._wait_and_show(logs, timing.window_ns, timing.end_ns)
        timing.cpu_end_ns, timing.stopped_ns = time.process_time_ns(), time.monotonic_ns()

    def _wait_and_show(self, logs: Sequence[ClientLog], window_ns: int, end_ns: int) -> None:
        shown_keys, shown_ns = 0, window_ns
        while (left_s := (end_ns - time.monotonic_ns()) / 1e9) > 0 and not self._stop.is_set():
            self._stop.wait(min(left_s, _WATCH_S) if self._watch else left_s)
            if self._watch is None:
                continue
            now_ns = time.monotonic_ns()
            keys = sum([log.keys for log in logs])
            recent = sorted([time_ns for log in logs for time_ns in log.recent()])
            self._watch(
                min(1.0, (now_ns - window_ns) / (end_ns - window_ns)),
                (keys - shown_keys) * 1e9 / max(1, now_ns - shown_ns),
                recent[len(recent) * 99 // 100] if recent else 0,
                sum([log.errors.total() for log in logs]),
            )
            shown_keys, shown_ns = keys, now_ns


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def kind_of(error: KvError) -> str:
    """An error in one word."""
    if isinstance(error, KvTimeoutError):
        return "timeout"
    return "connection" if isinstance(error, KvConnectionError) else "refused"


def _wake_precisely() -> None:
    """Ask Linux to wake this thread without its usual 50 µs of slack."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
