"""One thing has one shape: clients, pool and adapters have the same methods with the same words.

And the example of the results report that kvbench grew from runs as it stands there.
"""

from __future__ import annotations

import ast
import asyncio
import inspect

import pytest
from kvbench_backends.wire import AsyncWireBackend, WireBackend

from kvbench.backend import AsyncBackend, Backend, BackendDescription
from kvbench.client import KvClient, KvPool, PoolConfig, SyncKvClient
from tests.client.client_peers import ServerThread

OF_A_POOL = {"acquire", "stats", "namespace"}
OF_A_CLIENT = {"is_connected", "reconnects", "namespace"}
ONLY_ASYNC = {"mget_stream": {"window"}, "mset_stream": {"window"}}
"""A synchronous stream has one request in flight, so no window."""

ISSUED = {
    "ping", "info", "hello", "get", "set", "setnx", "delete", "getdel", "exists", "incr", "decr",
    "cas", "expire", "ttl", "lock", "unlock", "extend_lock", "mget", "mset", "mset_each", "mdel",
    "mexists", "mget_stream", "mset_stream", "pipelined_get", "pipelined_set",
    "pipelined_delete", "pipelined_exists",
}  # fmt: skip


def public(face):
    return {name for name in dir(face) if not name.startswith("_")}


def parameters(face, name, without=frozenset()):
    found = inspect.signature(getattr(face, name)).parameters.values()
    return [
        (one.name, one.kind, one.default, one.annotation)
        for one in found
        if one.name not in without
    ]


def test_the_clients_have_the_same_methods():
    assert public(KvClient) == public(SyncKvClient) == ISSUED | OF_A_CLIENT | {"connect", "close"}
    assert public(KvPool) == ISSUED | OF_A_POOL | {"connect", "close"}


@pytest.mark.parametrize("name", sorted(ISSUED))
def test_their_methods_take_the_same_arguments(name):
    only_async = ONLY_ASYNC.get(name, set())
    assert parameters(KvClient, name) == parameters(KvPool, name)
    wanted = [one[:3] for one in parameters(KvClient, name, only_async)]
    assert wanted == [one[:3] for one in parameters(SyncKvClient, name)]
    returned = {
        face: inspect.signature(getattr(face, name)).return_annotation
        for face in (KvClient, KvPool, SyncKvClient)
    }
    assert returned[KvClient] == returned[KvPool]
    if name != "mget_stream":
        assert returned[KvClient] == returned[SyncKvClient]
    for face in (KvClient, KvPool):
        method = getattr(face, name)
        assert inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


@pytest.mark.parametrize("namespace", [None, "tasks", "a/b"])
def test_their_namespace_is_that_of_the_address_or_none(namespace):
    """What the family's users read from a client or a pool: the name, or None without one."""

    async def scenario(address):
        async with KvClient.connect(address) as client:
            assert await client.ping() and client.namespace == namespace
        async with await KvPool.connect(PoolConfig(address)) as pool:
            assert pool.namespace == namespace

    with ServerThread() as server:
        address = f"{server.address}/{namespace}" if namespace else server.address
        asyncio.run(scenario(address))
        with SyncKvClient.connect(address) as client:
            assert client.ping() and client.namespace == namespace


def test_both_clients_connect_with_the_same_words():
    assert parameters(KvClient, "connect") == parameters(SyncKvClient, "connect")


@pytest.mark.parametrize(
    ("adapter", "interface"), [(WireBackend, Backend), (AsyncWireBackend, AsyncBackend)]
)
def test_the_adapters_offer_the_whole_interface(adapter, interface):
    methods = public(interface) - public(BackendDescription) - {"open_on_clock"}
    assert methods >= ISSUED - {"ping", "info", "hello", "mget_stream", "mset_stream"}
    for name in methods:
        method = getattr(adapter, name)
        assert method is not getattr(interface, name), f"{name} is not overridden"
        wanted = [one[:3] for one in parameters(interface, name)]
        assert [one[:3] for one in parameters(adapter, name)] == wanted
        assert inspect.iscoroutinefunction(method) is (interface is AsyncBackend)


@pytest.mark.parametrize(
    ("adapter", "client"), [(WireBackend, SyncKvClient), (AsyncWireBackend, KvClient)]
)
def test_a_timed_call_of_an_adapter_is_the_clients_own(adapter, client):
    """No layer of the adapter's is measured with the call."""
    for name in public(adapter) & ISSUED:
        assert getattr(adapter, name) is getattr(client, name)


EXAMPLE = """
from kvbench.client import KvClient

# Connect to server
client = await KvClient.connect("127.0.0.1:16380/tasks")

# MGET: Fetch 100 task results in one operation
task_ids = [f"task:{i}" for i in range(100)]
results = await client.mget(task_ids)

# MSET: Store 100 results in one operation
pairs = [(f"task:{i}", f"result_{i}") for i in range(100)]
await client.mset(pairs, ttl=3600)

# MDEL: Clean up 100 keys in one operation
deleted = await client.mdel(task_ids)
print(f"Deleted {deleted} keys")
"""


def test_the_example_of_the_results_report_runs(capsys):
    async def scenario(address):
        program = EXAMPLE.replace("127.0.0.1:16380", address)
        code = compile(program, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        names = {}
        await eval(code, names)
        assert names["results"] == [None] * 100 and names["deleted"] == 100
        await names["client"].close()

    with ServerThread() as server:
        asyncio.run(scenario(server.address))
    assert capsys.readouterr().out == "Deleted 100 keys\n"
