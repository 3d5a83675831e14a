"""A real server whose memory runs out: what it refuses is not stored, and it goes on serving.

The process gets a limit on its address space when it runs, a little above what it has. Works where
``prlimit`` is: on Linux.
"""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from kvbench.client import SyncKvClient
from kvbench.errors import KvConnectionError, KvServerError
from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status
from tests.waiting import wait_until

SERVER = """
import asyncio, sys
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import serve
if sys.argv[1] == "uvloop":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    ready = lambda address: print(address, flush=True)
    sys.exit(runner.run(serve(ServerConfig(port=0), ready=ready)))
"""
DEADLINE_S = 20.0
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the limit is set with prlimit, which is Linux's"
)

HEADROOM_BYTES = 16 * 1024 * 1024
T = TypeVar("T")
VALUE = "v" * 1000
ROUNDS_MAX = 60
TRIES_MAX = 50
PER_ROUND = 2_000


@contextlib.contextmanager
def serving(loop: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server process and its port; killed and reaped in the end, whatever happened."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, loop], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.kill()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def limit(process: subprocess.Popen[str]) -> None:
    """Leave the server ``HEADROOM_BYTES`` more than it has."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    size_kib = int(re.search(r"VmSize:\s+(\d+)", status)[1])
    bound = size_kib * 1024 + HEADROOM_BYTES
    resource.prlimit(process.pid, resource.RLIMIT_AS, (bound, bound))


def pipelined(port: int, frames: list[bytes]) -> list[tuple[int, bytes]]:
    """The replies to frames that are sent at once; fewer when the server closes the connection."""
    reader, found = FrameReader(), []
    with connect(port) as client, contextlib.suppress(ConnectionError):
        client.sendall(b"".join(frames))
        while len(found) < len(frames) and (data := client.recv(1 << 16)):
            found += reader.feed(data)
    return found


def fill(port: int, ttl_ms: int) -> tuple[set[str], set[str]]:
    """SET until a whole round stores nothing; the keys that were stored, and the refused.

    Keys without a reply are in neither.
    """
    stored: set[str] = set()
    refused: set[str] = set()
    for round_ in range(ROUNDS_MAX):
        keys = [f"k{round_:03d}:{i:05d}" for i in range(PER_ROUND)]
        frames = [req.set_request(Opcode.SET, b"", key, VALUE, ttl_ms) for key in keys]
        statuses = [status for status, _ in pipelined(port, frames)]
        assert set(statuses) <= {Status.OK, Status.ERROR}
        stored |= {key for key, status in zip(keys, statuses, strict=False) if status == Status.OK}
        refused |= {key for key, status in zip(keys, statuses, strict=False) if status != Status.OK}
        if Status.OK not in statuses and len(refused) >= PER_ROUND:
            return stored, refused
    raise AssertionError("memory did not run out")


def patiently(port: int, call: Callable[[SyncKvClient], T]) -> T:
    """The result of a call that may be repeated, as long as memory is short.

    A connection may be closed then, and a request be answered with "try later".
    """
    for _ in range(TRIES_MAX):
        with SyncKvClient.connect(f"kvb://127.0.0.1:{port}") as client:
            try:
                return call(client)
            except KvConnectionError:
                pass
            except KvServerError as error:
                if "try later" not in error.message:
                    raise
        time.sleep(0.1)
    raise AssertionError("the server has no memory for good")


def present(port: int, keys: set[str]) -> set[str]:
    names = sorted(keys)
    found: list[bool] = []
    for begin in range(0, len(names), 1_000):
        part = names[begin : begin + 1_000]
        found += patiently(port, lambda client, part=part: client.mexists(part))
    return {name for name, is_there in zip(names, found, strict=True) if is_there}


@pytest.fixture(params=["uvloop", "asyncio"])
def full_server(request):
    """A server without memory: its process, its port, the keys that it stored and refused."""
    with serving(request.param) as (process, port):
        limit(process)
        stored, refused = fill(port, ttl_ms=600_000)
        yield process, port, stored, refused
        assert process.poll() is None, "the server has ended"


def test_what_is_refused_is_not_stored_and_everything_works_afterwards(full_server):
    _, port, stored, refused = full_server
    assert len(stored) > 5_000 and len(refused) >= PER_ROUND
    assert present(port, stored) == stored
    assert present(port, refused) == set()

    entries = [(f"batch{i}", VALUE, 60.0) for i in range(20_000)]
    with (
        SyncKvClient.connect(f"kvb://127.0.0.1:{port}") as client,
        pytest.raises((KvServerError, KvConnectionError)),
    ):
        client.mset_each(entries)
    assert present(port, {key for key, _, _ in entries}) == set()

    gone = sorted(stored)[: len(stored) // 2]
    patiently(port, lambda client: [client.delete(key) for key in gone])
    assert present(port, set(gone)) == set()
    again = sorted(refused)[:500]
    for key in again:
        patiently(port, lambda client, key=key: client.set(key, VALUE, ttl=600.0))
    assert patiently(port, lambda client: all(client.expire(key, 300.0) for key in again))
    assert patiently(port, lambda client: all(290 < client.ttl(key) <= 300 for key in again))
    patiently(port, lambda client: client.mdel(again))
    assert present(port, set(again)) == set()


def test_keys_with_a_ttl_are_purged_from_a_server_without_memory(full_server):
    _, port, stored, _ = full_server
    keys = sorted(stored)
    for _ in range(TRIES_MAX):  # What is refused or has no reply is asked for again.
        frames = [req.expire_request(b"", key, 200) for key in keys]
        statuses = [status for status, _ in pipelined(port, frames)]
        kept = [key for key, status in zip(keys, statuses, strict=False) if status == Status.ERROR]
        keys = kept + keys[len(statuses) :]
        if not keys:
            break
    assert not keys
    # The memory comes back with the purge, without a request for those keys.
    after = {f"after{i}": VALUE for i in range(1_000)}
    deadline = time.monotonic() + DEADLINE_S
    is_stored = False
    while not is_stored and time.monotonic() < deadline:
        time.sleep(0.1)
        with contextlib.suppress(KvServerError):
            patiently(port, lambda client: client.mset(after))
            is_stored = True
    assert present(port, set(after)) == set(after)
    wait_until(lambda: not present(port, stored), "keys outlive their TTL")
