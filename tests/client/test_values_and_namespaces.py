"""Types survive, namespaces hold for everything, and the store keeps what it was given.

Through both clients and the pool, against a real server.
"""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal

import pytest

from kvbench.client import KvPool, PoolConfig, SyncKvClient
from kvbench.clock import ManualClock
from kvbench.errors import KvServerError
from kvbench.protocol.opcodes import EXTENSIONS, PROTOCOL_VERSION
from tests.client.client_peers import Blocking, ServerThread, gathered


class BlockingPool(Blocking):
    """A KvPool whose methods run to their end on an event loop of its own."""

    def __init__(self, address):
        self._runner = asyncio.Runner()
        self.inner = self._runner.run(KvPool.connect(PoolConfig(address)))

    @classmethod
    def connect(cls, address):
        return cls(address)


CLIENTS = [SyncKvClient, Blocking, BlockingPool]

VALUES = [
    None, True, False, 0, 1, -1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.5, 5e-324, 1e308, math.inf,
    -math.inf, Decimal("1.10"), Decimal("-0"), Decimal("1E+400"), Decimal("Infinity"),
    "", "é☃𝄞\0", "x" * 100_000, b"", b"\0\xff", bytes(100_000), [], {}, [[], {}, [None]],
    {"": {"é": [1, 1.0, True, "1", b"1", Decimal(1), None]}}, [{"a": [{"b": [{}]}]}],
]  # fmt: skip


@pytest.fixture(scope="module")
def server():
    clock = ManualClock()
    with ServerThread(clock=clock) as running:
        running.clock = clock
        yield running


@pytest.fixture(params=CLIENTS, ids=["sync", "async", "pool"])
def connect(request, server):
    opened = []

    def open_client(namespace=""):
        client = request.param.connect(f"{server.address}/{namespace}")
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(connect):
    return connect("test/of values")


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return repr(left) == repr(right)


def test_values_come_back_equal_and_of_the_same_type(client):
    keys = [f"k{i}" for i in range(len(VALUES))]
    for key, value in zip(keys, VALUES, strict=True):
        client.set(key, value)
        assert same(client.get(key), value), value
    client.mdel(keys)
    client.mset(zip(keys, VALUES, strict=True))
    assert same(client.mget(keys), VALUES)
    client.mset_each(
        [(key, value, None) for key, value in zip(keys, reversed(VALUES), strict=True)]
    )
    assert same(client.mget(keys), VALUES[::-1])
    stream = list(client.mget_stream(keys))
    assert [key for key, _ in stream] == keys
    assert same([value for _, value in stream], VALUES[::-1])


def test_nan_comes_back_as_nan(client):
    client.set("nan", [math.nan, Decimal("NaN")])
    back = client.get("nan")
    assert math.isnan(back[0]) and back[1].is_nan()


def test_tuples_become_lists(client):
    client.set("t", (1, ("a", ())))
    assert same(client.get("t"), [1, ["a", []]])


def test_a_stored_none_and_an_absent_key_differ_only_in_exists(client):
    client.delete("absent")
    client.set("none", None)
    assert client.get("none") is None and client.get("absent") is None
    assert client.mget(["none", "absent"]) == [None, None]
    assert client.exists("none") is True and client.exists("absent") is False
    assert client.mexists(["none", "absent"]) == [True, False]
    assert client.cas("none", None, 1) is True and client.cas("absent", None, 1) is None


def test_what_happens_to_a_value_later_stays_with_the_caller(client):
    given = {"items": [1, 2]}
    client.set("v", given)
    client.mset({"w": given})
    given["items"].append(3)
    back = client.get("v")
    back["items"].clear()
    assert client.mget(["v", "w"]) == [{"items": [1, 2]}] * 2


def test_ttls_in_seconds(client, server):
    client.set("t", 1, ttl=2.5)
    client.mset({"u": 1, "v": 1}, ttl=1)
    client.mset_each([("w", 1, 0.5), ("x", 1, None)])
    assert client.ttl("t") == 2.5 and client.ttl("w") == 0.5
    assert client.ttl("x") == -1.0 and client.ttl("absent") is None
    server.clock.advance_ms(500)
    assert client.mexists(list("tuvwx")) == [True, True, True, False, True]
    assert client.expire("u", None) is True and client.expire("w", 1) is False
    assert client.setnx("w", 2, ttl=0.1) is True and client.setnx("u", 2) is False
    server.clock.advance_ms(500)
    assert client.mget(list("tuvwx")) == [1, 1, None, None, 1]
    assert client.mdel(list("tuvwx")) == 3


NAMESPACES = ["tasks", "a/b/c", "é☃", "http://x", "with space", "n" * 200]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_namespaces_hold_for_everything(connect, namespace):
    inside, outside = connect(namespace), connect()

    def full(key):
        return f"{namespace}:{key}"

    inside.set("k", "in")
    outside.set("k", "out")
    assert inside.get("k") == "in" and outside.get("k") == "out"
    assert outside.get(full("k")) == "in"
    assert inside.incr("n", 5) == 5 and inside.decr("n") == 4 and outside.exists("n") is False
    assert inside.cas("k", "in", "new") is True and outside.get("k") == "out"
    assert inside.lock("l", "me", 60) is True and outside.lock("l", "you", 60) is True
    assert inside.lock("l", "you", 60) is False and outside.get(full("l")) == "me"
    with pytest.raises(KvServerError):
        inside.unlock("l", "you")
    assert inside.extend_lock("l", "me", 30) is True and inside.ttl("l") == 30.0
    assert inside.unlock("l", "me") is True and outside.exists("l") is True
    inside.mset({"m1": 1, "m2": 2})
    inside.mset_each([("m3", 3, None)])
    assert inside.mget(["m1", "m2", "m3"]) == [1, 2, 3]
    assert outside.mexists(["m1", full("m1")]) == [False, True]
    assert list(inside.mget_stream(["m3", "k"])) == [("m3", 3), ("k", "new")]
    assert inside.mset_stream([("m4", 4)]) == 1 and outside.get(full("m4")) == 4
    assert inside.setnx("m4", 5) is False and inside.setnx("m5", 5) is True
    assert inside.mdel(["k", "n", "m1", "m2", "m3", "m4", "m5"]) == 7
    assert outside.delete("k") is True and outside.delete("l") is True
    assert inside.delete("k") is False


def test_batches_beyond_one_request_come_back_as_one(client):
    count = 65_535 + 2
    keys = [f"{i}" for i in range(count)]
    client.mset([(key, i) for i, key in enumerate(keys)])
    assert client.mget(keys) == list(range(count))
    assert client.mexists([*keys, "beyond"]) == [True] * count + [False]
    assert client.mdel([*keys, "beyond"]) == count


def test_what_the_server_tells(client):
    assert client.ping() is True
    assert client.info()["entries"] >= 0
    version, extensions = client.hello()
    assert version == PROTOCOL_VERSION and set(extensions) >= set(EXTENSIONS)


def test_streams_of_every_source(server):
    async def numbers(count):
        for i in range(count):
            await asyncio.sleep(0)
            yield f"k{i}"

    async def pairs(count):
        async for key in numbers(count):
            yield key, key

    async def scenario():
        async with await KvPool.connect(PoolConfig(f"{server.address}/streams")) as pool:
            assert await pool.mset_stream(pairs(25), ttl=60, chunk_size=4) == 25
            expected = [(f"k{i}", f"k{i}") for i in range(25)] + [("k25", None)]
            assert await gathered(pool.mget_stream(numbers(26), chunk_size=4)) == expected
            async with pool.acquire() as one:
                assert await gathered(one.mget_stream(numbers(26), chunk_size=100)) == expected
                assert await one.mset_stream({"a": 1, "b": 2}, chunk_size=1) == 2
            assert await pool.mdel([f"k{i}" for i in range(25)]) == 25

    asyncio.run(scenario())
