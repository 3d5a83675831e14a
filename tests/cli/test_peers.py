"""Commands at an address where no server of the wire protocol is: all say the same, and at once."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

import pytest

from kvbench import specs
from kvbench.cli import main
from tests.foreign_stores import redis_server

FILE = specs.directory() / "vectors" / "counters.json"

each_command = pytest.mark.parametrize(
    ("before", "after"),
    [(["check"], []), (["run"], ["--quick"]), (["replay"], [FILE]), (["advise"], [])],
    ids=["check", "run", "replay", "advise"],
)

each_name = pytest.mark.parametrize("name", ["{}", "kvb://{}"])


@pytest.fixture
def kvbench(monkeypatch, capfd, tmp_path):
    """The command line in this process: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


def connections_of(listener):
    """How many clients have connected to a socket that accepts none."""
    listener.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


@pytest.fixture(scope="module")
def redis():
    with redis_server() as url:
        yield url


@each_command
@each_name
def test_redis_is_named_with_the_url_to_use(kvbench, redis, before, after, name):
    address = redis.removeprefix("redis://")
    code, _, error = kvbench(*before, name.format(address), *after)
    assert code == 4
    assert f"this looks like Redis: use {redis}" in error
    assert error.count("\n") == 1


@each_command
@each_name
def test_a_silent_peer_costs_one_timeout(kvbench, monkeypatch, before, after, name):
    monkeypatch.setattr("kvbench.conformance.targets.REPLY_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, _, error = kvbench(*before, name.format(address), *after)
        asked = connections_of(silent)
    assert code == 4
    assert 1 <= asked <= 3, "a GET, the end of a line, a PING"
    assert "has not answered a GET within 0.5 s" in error
    assert f"Another kind of store needs its scheme, e.g. redis://{address}" in error
    assert error.count("\n") == 1
