"""The Valkey adapter on real servers: the contract, on Redis too; scripts and pipelines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from kvbench_backends.valkey import ValkeyBackend

from kvbench.conformance.profile import read_profile, shipped_profile
from kvbench.conformance.runner import Options, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import BACKEND
from kvbench.conformance.targets import open_target
from kvbench.errors import KvConnectionError, KvRefusedError
from kvbench.local_server import LocalServer, free_port
from kvbench.specs import clauses
from kvbench.verdicts import Outcome

I64_MIN, I64_MAX = -(2**63), 2**63 - 1
PROGRAM = shutil.which("redis-server")
OPTIONS = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyBackend]:
    with ValkeyBackend.open("valkey://") as backend:
        yield backend


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    if PROGRAM is None:
        pytest.skip("no redis-server on the PATH: apt-get install redis-server")
    for _ in range(5):
        port = free_port()
        server = LocalServer([PROGRAM, "--port", str(port), *OPTIONS])
        try:
            server.wait_for_line("eady to accept connections")
        except KvConnectionError:
            continue
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.stop()
        return
    pytest.fail("redis-server did not start")


def commands_of(store: ValkeyBackend, call) -> dict[str, int]:
    """How often each command ran on the server for a call; those inside scripts count as well."""
    store._client.config_resetstat()
    call()
    stats = store._client.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
    return {name: n for name, n in counts.items() if not name.startswith(("config", "info"))}


def test_redis_keeps_every_clause_but_those_of_typed_values(redis_url):
    """Counters, locks and CAS on a real Redis: what is unsupported is so for the type of values."""
    known = frozenset([clause.id for clause in clauses()])
    profile = read_profile(shipped_profile("redis"), known)
    options = Options(Selection(frozenset({BACKEND})), profile, "seed")
    with open_target(redis_url) as target:
        assert profile.declared(BACKEND) == target.store.capabilities
        result = check_target(target, profile.declared(BACKEND), options)
    assert result.summary == "conforms"
    odd = [
        f"{one.clause}: {one.verdict} {one.detail}"
        for one in result.verdicts
        if one.verdict is not Outcome.PASSED
        and one.detail not in ("not declared: typed-values", "it declares everything")
        and one.clause != "BTTL-020"
    ]
    assert odd == []


def test_one_command_per_operation(valkey):
    """A round trip each: a script is called by its digest, and compares and changes at once."""
    valkey.set("c", b"1")
    valkey.lock("l", "me", 50)
    valkey.extend_lock("l", "me", 50)
    valkey.cas("c", b"1", b"1")
    assert commands_of(valkey, lambda: valkey.incr("c", 5)) == {"incrby": 1}
    assert commands_of(valkey, lambda: valkey.decr("c", 5)) == {"incrby": 1}
    swap = commands_of(valkey, lambda: valkey.cas("c", b"1", b"2"))
    assert swap == {"evalsha": 1, "get": 1, "set": 1}
    extend = commands_of(valkey, lambda: valkey.extend_lock("l", "me", 50))
    assert extend == {"evalsha": 1, "get": 1, "pexpire": 1}
    assert valkey.unlock("l", "me") is True
    assert commands_of(valkey, lambda: valkey.lock("l", "me", 50)) == {"set": 1}
    assert commands_of(valkey, lambda: valkey.unlock("l", "me")) == {
        "evalsha": 1,
        "get": 1,
        "del": 1,
    }
    valkey.delete("c")


def test_a_server_that_has_forgotten_the_scripts_gets_them_again(valkey):
    """SCRIPT FLUSH, a restart or a failover: the call works, and the next one is short again."""
    valkey.set("c", b"1")
    valkey._client.script_flush()
    swap = {"evalsha": 1, "get": 1, "set": 1}
    first = commands_of(valkey, lambda: valkey.cas("c", b"1", b"2"))
    assert first == swap | {"evalsha": 2, "script|load": 1}
    assert commands_of(valkey, lambda: valkey.cas("c", b"2", b"3")) == swap
    assert valkey.get("c") == b"3"
    valkey.delete("c")


@pytest.mark.parametrize(("before", "after"), [(I64_MIN, 0), (-1, I64_MAX), (-5, 2**63 - 5)])
def test_minus_two_to_the_63rd_is_subtracted_exactly(valkey, before, after):
    """No command takes that delta, and Lua's numbers are doubles."""
    valkey.set("n", b"%d" % before, ttl=50)
    assert valkey.decr("n", I64_MIN) == after
    assert valkey.get("n") == b"%d" % after and 49 < valkey.ttl("n") <= 50
    valkey.delete("n")


@pytest.mark.parametrize("value", [None, b"0", b"7", b"x", b"-x", b"", b"-"])
def test_minus_two_to_the_63rd_is_refused_where_it_has_no_room(valkey, value):
    if value is not None:
        valkey.set("n", value)
    with pytest.raises(KvRefusedError):
        valkey.decr("n", I64_MIN)
    assert valkey.get("n") == value
    valkey.delete("n")


def test_keys_of_another_kind_are_refused_and_left_alone(valkey):
    """A list or hash of an application is no counter, no lock and no value."""
    valkey._client.rpush("list", b"1")
    for call in (
        lambda: valkey.incr("list"),
        lambda: valkey.decr("list", I64_MIN),
        lambda: valkey.cas("list", b"1", b"2"),
        lambda: valkey.unlock("list", "1"),
        lambda: valkey.extend_lock("list", "1", 5),
    ):
        with pytest.raises(KvRefusedError, match="wrong kind"):
            call()
    assert valkey.lock("list", "1", 5) is False
    assert valkey._client.lrange("list", 0, -1) == [b"1"] and valkey.ttl("list") == -1
    valkey.delete("list")


def test_a_refusal_within_a_pipeline_is_raised_and_the_next_call_gets_its_own_reply(valkey):
    """All replies are read before the first error is raised, so none is left for the next call."""
    valkey._client.rpush("list", b"1")
    valkey.pipelined_set({"a": b"1", "b": b"2"})
    with pytest.raises(KvRefusedError, match="wrong kind"):
        valkey.pipelined_get(["a", "list", "b"])
    assert valkey.pipelined_get(["b", "a"]) == [b"2", b"1"]
    assert valkey.pipelined_delete(["a", "list", "b", "a"]) == [True, True, True, False]


def test_errors_of_pipelines_and_transactions_do_not_repeat_values(valkey):
    """redis-py puts the whole command before the server's words; a full store shows it."""
    secret = {"a": b"secret (that) of pipeline caused error: secret", "b": b"secret"}
    valkey._client.config_set("maxmemory", 1)
    try:
        for call in (
            lambda: valkey.pipelined_set(secret),
            lambda: valkey.mset_each([(key, value, 5) for key, value in secret.items()]),
        ):
            with pytest.raises(KvRefusedError) as caught:
                call()
            assert "secret" not in str(caught.value) and "memory" in str(caught.value)
    finally:
        valkey._client.config_set("maxmemory", 0)
