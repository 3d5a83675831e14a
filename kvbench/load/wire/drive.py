"""Drives a server with many connections from one process, and measures.

The function is pure in the sense of a distributed run: what it needs comes as arguments, and what
it found goes back as plain data. It does not place itself on a core and does not keep cores awake:
its caller does, for the whole run.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from itertools import islice

from kvbench.clock import NS_PER_S
from kvbench.errors import UsageError
from kvbench.load.arrivals import Schedule
from kvbench.load.calls import Call
from kvbench.load.tally import LoadTally, Watch
from kvbench.load.wire.call_log import CallLog
from kvbench.load.wire.closed import ClosedLoop
from kvbench.load.wire.endpoint import Endpoint, endpoint
from kvbench.load.wire.loop import clock
from kvbench.load.wire.open import OpenLoop
from kvbench.load.wire.opening import open_all
from kvbench.load.wire.prepared import Prepared
from kvbench.load.wire.replies import Dialect

POOL_CALLS_MAX = 65_536
POOL_BYTES_MAX = 256 * 1024 * 1024
"""Encoded calls that are kept; the first ones of a longer series are sent over again."""

WATCH_NS = 250_000_000
WATCHED_CALLS = 2000

CALL_TIMEOUT_NS = 5 * NS_PER_S


def drive(
    url: str,
    calls: Iterable[Call],
    *,
    batch_size: int,
    pipeline: int,
    connections: int,
    intended_ns: Schedule | None,
    warm_up_ns: int,
    duration_ns: int,
    ttl_ms: int = 0,
    call_timeout_ns: int = CALL_TIMEOUT_NS,
    when_ready: Callable[[], None] = lambda: None,
    watch: Watch | None = None,
) -> LoadTally:
    """Send calls for a while and return what was measured in the window after the warm-up.

    In a closed loop a call belongs to the window if it is answered in it. In an open loop it does
    if its intended time is in it: after the window the answers to those under way are waited for,
    and ``calls``, ``unsent`` and those lost with a connection are together exactly the calls due.

    The CPU time of the tally leaves out what an open loop spent polling for the next due time.

    Args:
        url: ``kvb://``, ``redis://``, ``valkey://`` or ``memcached://``, with a host.
        calls: sent in turn, on whichever connection is free, and over again after the last; an
            iterator is read before the clock starts, up to 65,536 calls or 256 MB.
        batch_size: keys in each request.
        pipeline: requests in each call.
        connections: how many, at least 1.
        intended_ns: None for a closed loop; else when each call is due, sorted, from the beginning
            of the warm-up: the schedule covers ``warm_up_ns + duration_ns``.
        warm_up_ns: sent and not counted.
        duration_ns: length of the window.
        ttl_ms: TTL of stored values; 0 for none.
        call_timeout_ns: a call without an answer for so long is an error ``timeout``, and its
            connection is opened anew. The function returns within this time after the window.
        watch: called a few times a second during the window.
        when_ready: called when all connections are open; the warm-up begins when it returns.

    Raises:
        UsageError: there is no call or no connection, a call has not ``batch_size * pipeline``
            keys, or the URL is wrong.
        UnsupportedError: the store has no such request, or the wire driver not its protocol.
        ValueError: a key or a value cannot be sent to this store.
        KvConnectionError, KvRefusedError, KvProtocolError: not all connections could be opened.
    """
    loop = _make_loop(
        endpoint(url, ttl_ms=ttl_ms), calls, batch_size, pipeline, connections, intended_ns,
        duration_ns, call_timeout_ns,
    )  # fmt: skip
    had_gc = gc.isenabled()
    gc.disable()  # A collection would show as a stall of the store.
    try:
        open_all(loop.connections)
        when_ready()
        return _measure(loop, warm_up_ns, duration_ns, watch)
    finally:
        loop.connections.close_all()
        if had_gc:
            gc.enable()


def _make_loop(
    target: Endpoint,
    calls: Iterable[Call],
    batch_size: int,
    pipeline: int,
    connections: int,
    intended_ns: Schedule | None,
    duration_ns: int,
    call_timeout_ns: int,
) -> ClosedLoop | OpenLoop:
    if connections < 1 or batch_size < 1 or pipeline < 1 or duration_ns < 1:
        raise UsageError("a load run needs a connection, a key, a request and some time at least")
    prepared = _prepare(target.dialect, calls, batch_size, pipeline)
    log = CallLog(is_open_loop=intended_ns is not None, keys_per_call=batch_size * pipeline)
    if intended_ns is None:
        return ClosedLoop(
            target, prepared, connections=connections, log=log, call_timeout_ns=call_timeout_ns
        )
    return OpenLoop(
        target, prepared, intended_ns,
        connections=connections, log=log, call_timeout_ns=call_timeout_ns,
    )  # fmt: skip


def _measure(
    loop: ClosedLoop | OpenLoop, warm_up_ns: int, duration_ns: int, watch: Watch | None
) -> LoadTally:
    start_ns = clock()
    if isinstance(loop, OpenLoop):
        loop.start(start_ns, warm_up_ns)
    else:
        loop.start()
    loop.run_until(start_ns + warm_up_ns)
    window_ns = start_ns + warm_up_ns if isinstance(loop, OpenLoop) else clock()
    loop.begin_window(window_ns, duration_ns)
    cpu_start_ns = time.process_time_ns()
    _run_and_show(loop, window_ns, window_ns + duration_ns, watch)
    elapsed_ns = clock() - window_ns
    cpu_ns = time.process_time_ns() - cpu_start_ns - loop.idle_ns
    if isinstance(loop, OpenLoop):
        loop.tally.unsent = loop.unsent(window_ns + duration_ns)
    loop.drain()
    tally = loop.result()
    tally.elapsed_ns, tally.cpu_ns = elapsed_ns, max(cpu_ns, 0)
    return tally


def _run_and_show(
    loop: ClosedLoop | OpenLoop, start_ns: int, end_ns: int, watch: Watch | None
) -> None:
    log, finished = loop.log, 0
    while (now_ns := clock()) < end_ns:
        until_ns = end_ns if watch is None else min(end_ns, now_ns + WATCH_NS)
        loop.run_until(until_ns)
        if watch is not None:
            recent = sorted(log.recent(WATCHED_CALLS))
            before, finished = finished, log.finished
            calls_per_s = (finished - before) * NS_PER_S / max(1, clock() - now_ns)
            watch(
                (until_ns - start_ns) / (end_ns - start_ns),
                calls_per_s * log.keys_per_call,
                recent[len(recent) * 99 // 100] if recent else 0,
                sum(loop.tally.errors.values()),
            )


def _prepare(
    dialect: Dialect, calls: Iterable[Call], batch_size: int, pipeline: int
) -> list[Prepared]:
    prepared: list[Prepared] = []
    size = 0
    for call in islice(calls, POOL_CALLS_MAX):
        if len(call.keys) != batch_size * pipeline:
            raise UsageError(
                f"a call has {len(call.keys)} keys, not {pipeline} requests of {batch_size}"
            )
        one = dialect.prepare(call, batch_size)
        prepared.append(one)
        size += len(one.data) + (len(one.then.data) if one.then else 0)
        if size > POOL_BYTES_MAX:
            break
    if not prepared:
        raise UsageError("a load run needs at least one call")
    return prepared
