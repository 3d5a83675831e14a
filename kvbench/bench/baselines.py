"""The cost of the harness itself, and of a bare round trip: lower limits of all figures.

Each is a median, measured in every round at the same place as the cells, so that a reader sees how
far a figure is from its lower limit. A round trip depends on placement: with client and server on
one core, no other core has to wake up. So it is measured both ways, and no call over loopback
should be faster than the faster one.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time

from kvbench.bench.arms import Arm, Batch, open_session
from kvbench.bench.messages import BaselineSample
from kvbench.bench.placement import Placement
from kvbench.model import BatchOperation

_TIMER_RUNS = 50
_TIMER_READINGS = 200
_LOOP_RUNS = 50
_LOOP_KEYS = 1000
_ROUND_TRIPS = 1000
_ROUND_TRIPS_DISCARDED = 200
_ECHO_TIMEOUT_S = 10.0

_ECHO = """
import os, socket, sys
if sys.argv[1:]:
    os.sched_setaffinity(0, map(int, sys.argv[1:]))
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
"""An echo server in a separate process, like a real server: threads of one process would share an
interpreter and measure its lock. It ends with its only connection."""


def measure_baselines(placement: Placement) -> BaselineSample:
    """Measure all baselines, at the place of a round's cells; takes about a third of a second.

    Args:
        placement: of this process; the echo server is placed like private servers.

    Raises:
        OSError: this machine does not allow connections to itself.
    """
    return BaselineSample(
        timer_ns=time_timer(),
        loop_ns=time_loop(),
        round_trip_apart_ns=time_loopback(placement.servers),
        round_trip_together_ns=time_loopback(placement.generator) if placement.is_on else None,
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
        keys: list[Batch] = [[str(number) for number in range(_LOOP_KEYS)]]
        samples = [
            session.time_slice(BatchOperation.MGET, Arm.INDIVIDUAL, keys).wall_ns
            for _ in range(_LOOP_RUNS)
        ]
        return statistics.median(samples) / _LOOP_KEYS
    finally:
        session.close()


def time_loopback(cores: tuple[int, ...] = ()) -> float:
    """One byte to a blocking echo server on loopback and back, in nanoseconds.

    Args:
        cores: of the echo server; empty to let the system choose.
    """
    command = [sys.executable, "-I", "-S", "-c", _ECHO, *map(str, cores)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=0
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
