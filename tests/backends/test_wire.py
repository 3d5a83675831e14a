"""The adapters of the wire protocol: private servers that end with them, and what they describe."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kvbench_backends import wire
from kvbench_backends.wire import AsyncWireBackend, WireBackend

import kvbench
from kvbench.client import SyncKvClient
from kvbench.errors import KvConnectionError, KvServerError, UsageError
from kvbench.local_server import free_port
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import KvServer
from tests.waiting import wait_until

SCHEMES = pytest.mark.parametrize("scheme", ["kvb", "kvb+async"])

DEAF_SERVER = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
print("listening on 127.0.0.1:" + sys.argv[2], flush=True)
time.sleep(300)
"""

HOLDER = """
import sys, time, kvbench
backend = kvbench.open_backend(sys.argv[1])
backend.set("k", 1)
print(backend.private_url, flush=True)
time.sleep(300)
"""


def is_listening(address: str) -> bool:
    try:
        SyncKvClient.connect(address, connect_timeout=1).close()
    except KvConnectionError:
        return False
    return True


def place(backend) -> str:
    return backend.private_url.partition("://")[2].partition("/")[0]


@SCHEMES
def test_a_private_server_ends_with_its_backend(scheme):
    with kvbench.open_backend(f"{scheme}:///tasks") as backend:
        backend.set("k", 1)
        address = place(backend)
        assert is_listening(address)
        assert backend.private_url == f"{scheme}://{address}/tasks"
        with kvbench.open_backend(backend.private_url) as another:
            assert another.get("k") == 1 and another.private_url == ""
        with SyncKvClient.connect(address) as outside:
            assert outside.get("tasks:k") == 1
    assert not is_listening(address)
    backend.close()


@SCHEMES
def test_two_private_servers_are_two(scheme):
    with (
        kvbench.open_backend(f"{scheme}://") as one,
        kvbench.open_backend(f"{scheme}://") as other,
    ):
        one.set("k", 1)
        assert other.get("k") is None and place(one) != place(other)


@SCHEMES
def test_a_private_server_ends_when_its_owner_is_killed(scheme):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{scheme}://"], stdout=subprocess.PIPE, text=True
    ) as owner:
        address = owner.stdout.readline().strip().partition("://")[2]
        assert is_listening(address)
        os.kill(owner.pid, signal.SIGKILL)
    wait_until(lambda: not is_listening(address), "the server outlived its owner")


@SCHEMES
def test_a_private_server_that_cannot_be_reached_is_stopped(scheme, tmp_path, monkeypatch):
    note = tmp_path / "pid"
    command = (sys.executable, "-c", DEAF_SERVER, str(note), str(free_port()))
    monkeypatch.setattr(wire, "OWN_SERVER", command)
    with pytest.raises(KvConnectionError, match="refused"):
        kvbench.open_backend(f"{scheme}://")
    server = Path(f"/proc/{note.read_text()}")
    wait_until(lambda: not server.exists(), "the server was left behind")


@SCHEMES
def test_a_private_server_that_says_nonsense_is_stopped(scheme, tmp_path, monkeypatch):
    note = tmp_path / "pid"
    command = (sys.executable, "-c", DEAF_SERVER, str(note), "notaport")
    monkeypatch.setattr(wire, "OWN_SERVER", command)
    with pytest.raises(UsageError, match="is not a number"):
        kvbench.open_backend(f"{scheme}://")
    server = Path(f"/proc/{note.read_text()}")
    wait_until(lambda: not server.exists(), "the server was left behind")


@SCHEMES
def test_a_url_that_is_wrong_starts_no_server(scheme, monkeypatch):
    monkeypatch.setattr(wire, "OWN_SERVER", ("/nowhere/never-started",))
    with pytest.raises(UsageError, match="leaves no room"):
        kvbench.open_backend(f"{scheme}:///{'n' * 300}")
    with pytest.raises(
        UsageError, match=rf"'{re.escape(scheme)}://localhost:x' .* is not a number"
    ):
        kvbench.open_backend(f"{scheme}://localhost:x")
    with pytest.raises(UsageError, match="the scheme of this protocol is kvb://"):
        kvbench.open_backend(f"{scheme}://kvb://localhost")


@SCHEMES
def test_an_address_where_no_server_listens(scheme):
    with pytest.raises(KvConnectionError, match="refused; is a server running"):
        kvbench.open_backend(f"{scheme}://127.0.0.1:{free_port()}")


@SCHEMES
def test_it_describes_the_server(scheme):
    with kvbench.open_backend(f"{scheme}://") as backend:
        facts = backend.describe()
        assert set(facts) >= {"product", "version", "codec", "event_loop", "extensions"}
        assert "mexists" in facts["extensions"]


def test_opening_asynchronously_leaves_nothing_behind_when_the_server_refuses():
    """A server at its limit of connections answers HELLO's connection with ERROR."""

    async def scenario():
        async with KvServer(ServerConfig(port=0, max_connections=1)) as server:
            first = await AsyncWireBackend.open(f"kvb+async://{server.address}")
            with pytest.raises((KvServerError, KvConnectionError), match="connections are taken"):
                await AsyncWireBackend.open(f"kvb+async://{server.address}")
            assert await first.exists("k") is False
            await first.close()
            await first.close()
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_closing_stops_the_server_even_when_the_client_cannot_close():
    class Stubborn(WireBackend):
        def _drop(self):
            super()._drop()
            raise KvConnectionError("stubborn")

    backend = Stubborn.open("kvb://")
    address = place(backend)
    with pytest.raises(KvConnectionError, match="stubborn"):
        backend.close()
    assert not is_listening(address)
