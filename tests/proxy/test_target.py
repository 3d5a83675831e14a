"""Where a target is, and its URL through a proxy: everything but host and port stays."""

from __future__ import annotations

import pytest

from kvbench.errors import UnknownSchemeError, UsageError
from kvbench.proxy import target_address, through


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("127.0.0.1:6379", "127.0.0.1:6379"),
        ("localhost:1", "localhost:1"),
        ("[::1]:16380", "[::1]:16380"),
        ("kvb://127.0.0.1", "127.0.0.1:16380"),
        ("kvb+async://127.0.0.1/ns", "127.0.0.1:16380"),
        ("kvb://[::1]/ns", "[::1]:16380"),
        ("KVB://127.0.0.1:7/ns", "127.0.0.1:7"),
        ("redis://user:p%40ss@cache.example/0?timeout=1", "cache.example:6379"),
        ("rediss://:secret@10.0.0.1:6380/0", "10.0.0.1:6380"),
        ("valkey://127.0.0.1:7000", "127.0.0.1:7000"),
        ("memcached://127.0.0.1", "127.0.0.1:11211"),
    ],
)
def test_a_target_is_an_address_or_the_url_of_a_server(target, address):
    assert target_address(target) == address


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("127.0.0.1", "write HOST:PORT"),
        ("::1:6379", "write HOST:PORT"),
        ("127.0.0.1:0", "1 to 65535"),
        ("127.0.0.1:99999", "1 to 65535"),
        ("kvb://", "names no server that runs"),
        ("valkey://", "start one, and write valkey://127.0.0.1:6379/0"),
        ("redis:///0", "names no server"),
        ("memcached://", "names no server"),
        ("memory://", "not reached over TCP"),
        ("sqlite:///tmp/cache.db", "not reached over TCP"),
        ("redis://127.0.0.1:port/0", "Port could not be cast"),
    ],
)
def test_what_no_proxy_can_stand_before_is_refused(target, advice):
    with pytest.raises(UsageError, match=advice):
        target_address(target)


def test_a_password_in_a_url_that_is_refused_is_not_repeated():
    with pytest.raises(UsageError) as refused:
        target_address("redis://:hunter2@127.0.0.1:port/0")
    assert "hunter2" not in str(refused.value)


def test_a_wrong_scheme_gets_the_nearest_right_one():
    with pytest.raises(UnknownSchemeError, match="did you mean redis://"):
        target_address("rediz://127.0.0.1")


@pytest.mark.parametrize(
    ("target", "result"),
    [
        ("kvb://127.0.0.1:16380/ns/sub", "kvb://127.0.0.1:9/ns/sub"),
        ("kvb://[::1]:16380/ns", "kvb://127.0.0.1:9/ns"),
        ("redis://user:p%40ss@host:6379/0?a=b@c", "redis://user:p%40ss@127.0.0.1:9/0?a=b@c"),
        ("redis://:a@b@host/0", "redis://:a@b@127.0.0.1:9/0"),
        ("redis://host?db=1", "redis://127.0.0.1:9?db=1"),
        ("memcached://host", "memcached://127.0.0.1:9"),
        ("host:6379", "127.0.0.1:9"),
    ],
)
def test_through_replaces_host_and_port_alone(target, result):
    assert through(target, "127.0.0.1:9") == result


def test_through_an_ipv6_address():
    assert through("redis://u:p@host:1/0", "[::1]:9") == "redis://u:p@[::1]:9/0"
