"""The wire driver counts what real servers answered, in both loops, whatever happens to them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from kvbench.errors import (
    KvConnectionError,
    KvProtocolError,
    KvRefusedError,
    UsageError,
)
from kvbench.histogram import bucket_of
from kvbench.load.arrivals import constant_arrivals
from kvbench.load.calls import Call, Op
from kvbench.load.tally import SERVICE_TIME, SINCE_INTENDED, SINCE_SENT, SLICE_NS, LoadTally
from kvbench.load.wire.drive import drive
from kvbench.local_server import OWN_SERVER, LocalServer, free_port
from tests.foreign_stores import http_server, memcached_server, redis_server
from tests.load.wire.trickling_server import by_bytes, relaying

MS = 1_000_000
KEYS = [f"key:{number}" for number in range(40)]
ABSENT = [f"absent:{number}" for number in range(40)]


def run(url: str, calls: list[Call], **options: object) -> LoadTally:
    """Drive for a short time, in a closed loop unless ``options`` say otherwise."""
    settings: dict[str, object] = {
        "batch_size": 1, "pipeline": 1, "connections": 3, "intended_ns": None,
        "warm_up_ns": 20 * MS, "duration_ns": 150 * MS,
    }  # fmt: skip
    return drive(url, calls, **(settings | options))  # type: ignore[arg-type]


def sets(keys: list[str], size: int = 1) -> list[Call]:
    return [
        Call(Op.SET, keys[at : at + size], [b"x" * 100] * size) for at in range(0, len(keys), size)
    ]


def store(url: str) -> None:
    """Store all of KEYS by one call, so that even a busy machine does it in time."""
    tally = run(url, sets(KEYS, len(KEYS)), pipeline=len(KEYS), warm_up_ns=0, connections=1)
    assert tally.keys >= len(KEYS) and not tally.errors


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    server = LocalServer(OWN_SERVER)
    try:
        yield "kvb://" + server.wait_for_line("listening on").split()[-1]
    finally:
        server.stop()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="module")
def memcached_url() -> Iterator[str]:
    with memcached_server() as url:
        yield url


@pytest.fixture(params=["own_url", "redis_url", "memcached_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def ask(url: str, command: bytes) -> bytes:
    """Send raw bytes on another connection; returns the first of the answer."""
    with socket.create_connection(("127.0.0.1", port_of(url)), 10) as client:
        client.sendall(command)
        return client.recv(65_536)


# --- What is counted -----------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "pipeline"), [(1, 1), (1, 8), (8, 1), (4, 2)])
def test_a_closed_loop_counts_calls_requests_keys_and_hits(url, batch_size, pipeline):
    size = batch_size * pipeline
    options = {"batch_size": batch_size, "pipeline": pipeline}
    stored = run(url, sets(KEYS, size), **options)
    assert stored.calls > 0 and not stored.errors
    assert (stored.hits, stored.misses) == (0, 0)
    store(url)
    half = [key for pair in zip(KEYS, ABSENT, strict=True) for key in pair][: len(KEYS)]
    calls = [Call(Op.GET, half[at : at + size]) for at in range(0, len(half), size)]
    read = run(url, calls, **options)
    assert read.keys == read.calls * size == read.hits + read.misses
    assert read.requests == read.calls * pipeline and not read.errors
    assert abs(read.hits - read.misses) <= size * len(calls)
    assert read.histogram(SERVICE_TIME).samples == read.calls
    assert len(read.timeline_keys) == -(-150 * MS // SLICE_NS)
    assert 0 < sum(read.timeline_keys) <= read.keys
    assert read.elapsed_ns >= 150 * MS and read.cpu_ns > 0


@pytest.mark.parametrize("batch_size", [1, 4])
def test_all_operations_are_understood(url, batch_size):
    options = {"batch_size": batch_size, "pipeline": 1, "warm_up_ns": 0, "connections": 1}
    store(url)
    found = run(url, [Call(Op.EXISTS, KEYS[:batch_size])], **options)
    assert found.hits == found.keys and not found.misses and not found.errors
    changed = run(
        url, [Call(Op.READ_MODIFY_WRITE, KEYS[:batch_size], [b"new"] * batch_size)], **options
    )
    assert changed.hits >= changed.keys == changed.calls * batch_size and not changed.errors
    assert changed.requests >= 2 * changed.calls
    gone = run(url, [Call(Op.DELETE, KEYS[:batch_size])], **options)
    assert gone.hits == batch_size and gone.misses == gone.keys - batch_size


def test_an_open_loop_sends_every_call_that_is_due(url):
    store(url)
    intended = constant_arrivals(2000, 300 * MS)
    tally = run(
        url, [Call(Op.GET, [key]) for key in KEYS],
        intended_ns=intended, warm_up_ns=100 * MS, duration_ns=200 * MS,
    )  # fmt: skip
    due = int((intended >= 100 * MS).sum())
    assert tally.calls + tally.unsent == due
    assert tally.hits == tally.calls and not tally.errors
    since_intended, since_sent = tally.histogram(SINCE_INTENDED), tally.histogram(SINCE_SENT)
    assert since_intended.samples == since_sent.samples == tally.calls
    assert since_intended.mean_ns > since_sent.mean_ns
    assert SERVICE_TIME not in tally.latency


def test_a_schedule_beyond_what_the_store_takes_is_not_slowed(own_url):
    intended = constant_arrivals(5_000_000, 100 * MS)
    tally = run(
        own_url, [Call(Op.GET, ["k"])],
        intended_ns=intended, connections=2, warm_up_ns=0, duration_ns=100 * MS,
    )  # fmt: skip
    assert tally.unsent > 0 and tally.late > 0
    assert tally.calls + tally.unsent == len(intended)
    assert tally.histogram(SINCE_INTENDED).max_ns > 50 * MS


def test_large_calls_are_sent_and_answered_in_pieces(url):
    values = [b"x" * 500_000] * 8
    options = {"batch_size": 8, "pipeline": 1, "connections": 2, "duration_ns": 1_500 * MS}
    stored = run(url, [Call(Op.SET, KEYS[:8], values)], **options)
    assert stored.calls > 0 and not stored.errors
    read = run(url, [Call(Op.GET, KEYS[:8])], **options)
    assert read.hits == read.keys > 0 and not read.errors


def test_answers_byte_by_byte_are_counted_alike(url):
    store(url)
    with relaying(port_of(url), by_bytes) as port:
        near = f"{urlsplit(url).scheme}://127.0.0.1:{port}"
        single = run(near, [Call(Op.GET, [key]) for key in [*KEYS, *ABSENT]])
        batch = run(near, [Call(Op.GET, [*KEYS[:3], *ABSENT[:3]])], batch_size=3, pipeline=2)
    assert single.calls > 0 and not single.errors
    assert single.hits + single.misses == single.keys
    assert batch.calls > 0 and batch.hits == batch.misses == 3 * batch.calls


def test_namespace_database_and_login(own_url):
    store(own_url + "/one")
    assert not run(own_url + "/two", [Call(Op.GET, [key]) for key in KEYS]).hits
    assert not run(own_url + "/one", [Call(Op.GET, [key]) for key in KEYS]).misses
    with redis_server("--requirepass", "s3cret!") as url:
        with_login = url.replace("//", "//:s3cret%21@")
        store(with_login + "/1")
        assert not run(with_login + "/1", [Call(Op.GET, KEYS[:1])]).misses
        assert not run(with_login, [Call(Op.GET, KEYS[:1])]).hits
        with pytest.raises(KvRefusedError, match="NOAUTH"):
            run(url, [Call(Op.GET, KEYS[:1])])


# --- Mistakes in the command ---------------------------------------------------------------------


def test_a_store_that_does_not_take_all_clients_is_one_line():
    gets = [Call(Op.GET, ["k"])]
    with pytest.raises(KvConnectionError, match="connection 1 of 3: Connection refused"):
        run(f"redis://127.0.0.1:{free_port()}", gets)
    with (
        redis_server("--maxclients", "5") as url,
        pytest.raises((KvRefusedError, KvConnectionError), match=r"connection \d of 9"),
    ):
        run(url, gets, connections=9)
    with http_server() as address, pytest.raises((KvProtocolError, KvConnectionError)):
        run(f"redis://{address}", gets)


def test_a_run_needs_calls_of_one_size_and_a_connection():
    with pytest.raises(UsageError, match="at least one call"):
        run("redis://127.0.0.1:1", [])
    with pytest.raises(UsageError, match="a call has 2 keys, not 1 requests of 1"):
        run("redis://127.0.0.1:1", [Call(Op.GET, ["a", "b"])])
    with pytest.raises(UsageError, match="needs a connection"):
        run("redis://127.0.0.1:1", [Call(Op.GET, ["a"])], connections=0)


# --- Trouble during a run ------------------------------------------------------------------------


def test_error_replies_are_counted_by_kind_and_have_no_latency():
    with redis_server("--maxmemory", "100kb", "--maxmemory-policy", "noeviction") as url:
        tally = run(url, sets(KEYS, 4), pipeline=4)
        assert tally.errors == {"OOM": 4 * tally.calls} and tally.calls > 0
        assert tally.requests == tally.keys == 0
        assert tally.histogram(SERVICE_TIME).samples == 0


@pytest.mark.parametrize("rate", [None, 2000])
@pytest.mark.thorough
def test_a_server_that_is_killed_and_started_again(rate):
    port = free_port()
    command = [*OWN_SERVER[:-1], str(port)]
    server = LocalServer(command)
    server.wait_for_line("listening on")
    restarted: list[LocalServer] = []

    def restart() -> None:
        time.sleep(0.5)
        server.stop()
        restarted.append(LocalServer(command))
        restarted[0].wait_for_line("listening on")

    thread = threading.Thread(target=restart)
    thread.start()
    intended = constant_arrivals(rate, 5_000 * MS) if rate else None
    try:
        tally = run(
            f"kvb://127.0.0.1:{port}", [Call(Op.GET, ["k"])],
            intended_ns=intended, warm_up_ns=0, duration_ns=5_000 * MS,
        )  # fmt: skip
    finally:
        thread.join()
        restarted[0].stop()
    assert tally.broken == 3
    assert tally.timeline_keys[0] > 0 and tally.timeline_keys[-1] > 0
    assert tally.longest_silence_ns() >= SLICE_NS
    assert set(tally.errors) <= {"connection"}
    if intended is None:
        assert tally.errors["connection"] == 3
    else:
        lost = tally.errors.get("connection", 0)
        assert tally.calls + tally.unsent + lost == len(intended)
        assert tally.late > 0


def test_a_server_that_is_gone_for_good_ends_nothing_but_the_answers():
    server = LocalServer(OWN_SERVER)
    url = "kvb://" + server.wait_for_line("listening on").split()[-1]
    timer = threading.Timer(0.3, server.stop)
    timer.start()
    tally = run(url, [Call(Op.GET, ["k"])], warm_up_ns=0, duration_ns=1_500 * MS)
    timer.join()
    assert tally.errors == {"connection": 3} and tally.broken == 3
    assert tally.timeline_keys[-1] == 0 and tally.elapsed_ns >= 1_500 * MS


def test_a_call_without_an_answer_times_out(redis_url):
    answered = threading.Event()

    def silent_after_greeting(client: socket.socket, data: bytes) -> None:
        if data == b"+PONG\r\n":
            client.sendall(data)
        else:
            answered.set()

    with relaying(port_of(redis_url), silent_after_greeting) as port:
        tally = run(
            f"redis://127.0.0.1:{port}", [Call(Op.GET, ["k"] * 2)],
            pipeline=2, call_timeout_ns=100 * MS, warm_up_ns=0, duration_ns=250 * MS,
        )  # fmt: skip
    assert answered.is_set() and tally.calls == 0
    assert tally.errors["timeout"] >= 2 * 3 and set(tally.errors) == {"timeout"}


def test_what_is_no_answer_ends_the_connection(redis_url):
    def lies_after_greeting(client: socket.socket, data: bytes) -> None:
        client.sendall(data if data == b"+PONG\r\n" else b":1\r\n")

    with relaying(port_of(redis_url), lies_after_greeting) as port:
        tally = run(f"redis://127.0.0.1:{port}", [Call(Op.GET, ["k"])])
    assert set(tally.errors) == {"protocol"} and tally.calls == 0


@pytest.mark.parametrize("rate", [None, 1000])
def test_coordinated_omission(rate):
    """A redis-server that sleeps for 0.3 s: an open loop sees hundreds of late answers.

    A closed loop on two connections sees two: it does not ask while it waits.
    """
    with redis_server("--enable-debug-command", "local") as url:
        timer = threading.Timer(0.3, ask, (url, b"DEBUG SLEEP 0.3\r\n"))
        timer.start()
        intended = constant_arrivals(rate, 1_000 * MS) if rate else None
        tally = run(
            url, [Call(Op.GET, ["k"])],
            connections=2, intended_ns=intended, warm_up_ns=0, duration_ns=1_000 * MS,
        )  # fmt: skip
        timer.join()

    def longer_than_100_ms(name: str) -> int:
        return int(tally.histogram(name).counts()[bucket_of(100 * MS) :].sum())

    if rate is None:
        assert longer_than_100_ms(SERVICE_TIME) <= 4
    else:
        assert longer_than_100_ms(SINCE_INTENDED) >= 100
        assert longer_than_100_ms(SINCE_SENT) <= 4
