"""What no figure can be better than: the harness's own cost and a bare round trip.

Each is a median, measured once a run under the same conditions as the cells, so that a reader sees
how far a figure is from the floor.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time

from kvbench.bench.arms import Arm, open_session
from kvbench.bench.blocks import Work
from kvbench.bench.plan import Operation, Settings
from kvbench.bench.workload import Workload
from kvbench.results import Floors

_TIMER_RUNS = 200
_TIMER_READINGS = 200
_LOOP_RUNS = 50
_LOOP_KEYS = 1000
_ROUND_TRIPS = 2000
_ROUND_TRIPS_DISCARDED = 200
_ECHO_TIMEOUT_S = 10.0

_ECHO = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(10)
sys.stdout.write(f"{listener.getsockname()[1]}\\n")
sys.stdout.flush()
peer, _ = listener.accept()
peer.settimeout(None)
peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := peer.recv(64):
    peer.sendall(data)
"""
"""An echo server in a process of its own, as a real server would be: threads of one process would
share an interpreter and measure its lock. It ends when its only connection does."""


def measure_floors(*, keep_awake: bool) -> Floors:
    """Measure all floors; takes about a third of a second.

    Args:
        keep_awake: recorded beside the figures: whether the cores are being kept awake.

    Raises:
        OSError: this machine allows no connection to itself.
    """
    return Floors(
        timer_ns=time_timer(),
        loop_ns_per_call=time_loop(),
        loopback_round_trip_ns=time_loopback(),
        keep_awake=keep_awake,
    )


def time_timer() -> float:
    """One reading of the clock, in nanoseconds."""
    clock = time.perf_counter_ns
    steps = range(_TIMER_READINGS)
    samples = []
    for _ in range(_TIMER_RUNS):
        start_ns = clock()
        for _ in steps:
            clock()
        samples.append((clock() - start_ns) / _TIMER_READINGS)
    return statistics.median(samples)


def time_loop() -> float:
    """One single call of a backend that does nothing, loop included, in nanoseconds."""
    session = open_session("null://")
    try:
        work = Work(session, Workload(Settings()), Operation.MGET, _LOOP_KEYS)
        samples = [work.time(Arm.INDIVIDUAL, 1).wall_ns for _ in range(_LOOP_RUNS)]
        return statistics.median(samples) / _LOOP_KEYS
    finally:
        session.close()


def time_loopback() -> float:
    """One byte to a blocking echo server on loopback and back, in nanoseconds."""
    command = [sys.executable, "-I", "-S", "-c", _ECHO]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline() or b"0")
            return statistics.median(_round_trips(port)[_ROUND_TRIPS_DISCARDED:])
        finally:
            server.kill()


def _round_trips(port: int) -> list[int]:
    samples = []
    with socket.create_connection(("127.0.0.1", port), timeout=_ECHO_TIMEOUT_S) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_ROUND_TRIPS):
            start_ns = time.perf_counter_ns()
            peer.send(b"x")
            peer.recv(1)
            samples.append(time.perf_counter_ns() - start_ns)
    return samples
