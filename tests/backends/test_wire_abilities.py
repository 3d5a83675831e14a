"""A backend of the wire protocol declares what its server can do, and no more."""

from __future__ import annotations

import asyncio

import pytest
from kvbench_backends.wire import AsyncWireBackend, WireBackend

from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import BACKEND
from kvbench.conformance.targets import discover, open_target
from kvbench.errors import UnsupportedError
from kvbench.model import BatchKind, Capability
from kvbench.protocol.opcodes import Opcode
from kvbench.registry import open_backend
from tests.mutants.lacking import WithoutOperations
from tests.mutants.running import running


class CoreOnly(WithoutOperations):
    """GET, SET, DEL, EXISTS, PING and INFO, and no more."""

    lacks = tuple([opcode for opcode in Opcode if not opcode.is_core])


class NoTtls(WithoutOperations):
    """Neither EXPIRE nor TTL."""

    lacks = (Opcode.EXPIRE, Opcode.TTL)


class NoMget(WithoutOperations):
    """No MGET."""

    lacks = (Opcode.MGET,)


@pytest.mark.parametrize(
    ("scheme", "server"),
    [
        ("kvb+async", NoTtls),
        *[
            pytest.param(scheme, server, marks=pytest.mark.thorough)
            for scheme, server in (
                ("kvb", CoreOnly),
                ("kvb", NoTtls),
                ("kvb", NoMget),
                ("kvb+async", NoMget),
                ("kvb+async", CoreOnly),
            )
        ],
    ],
)
@pytest.mark.thorough
def test_a_server_that_lacks_operations_keeps_what_it_declares(scheme, server):
    chosen = frozenset({BACKEND})
    with (
        running(server) as (host, port),
        open_target(f"{scheme}://{host}:{port}", chosen) as target,
    ):
        capabilities = discover(target, Profile(), chosen).capabilities
        options = Options(Selection(suites=chosen), Profile(), "seed")
        found = check_target(target, capabilities, options)
    failed = [one.case for one in found.verdicts if one.verdict in ("failed", "error", "skipped")]
    assert failed == []
    assert found.counts["MUST"]["unsupported"] > 0
    assert found.counts["MUST"]["passed"] > 80


def test_what_is_not_there_is_not_declared_and_refused():
    with running(CoreOnly) as (host, port), open_backend(f"kvb://{host}:{port}") as store:
        assert store.capabilities == {"typed-values", "pipelining", "shared"}
        assert store.batch_kind("mget") is BatchKind.EMULATED
        store.mset({"a": 1, "b": 2})
        assert store.mget(["a", "absent", "b"]) == [1, None, 2]
        for call in (
            lambda: store.incr("a"),
            lambda: store.set("a", 5, 1.0),
            lambda: store.set("a", 5, ttl=1.0),
            lambda: store.mset({"a": 5}, ttl=1.0),
            lambda: store.mset_each([("a", 5, None)]),
        ):
            with pytest.raises(UnsupportedError):
                call()
        assert store.get("a") == 1


def test_our_server_lacks_nothing_and_probes_leave_nothing_behind():
    with open_backend("kvb://") as store:
        assert type(store) is WireBackend
        assert store.capabilities == frozenset(Capability)
        assert store.info()["entries"] == 0
        url = store.private_url

        async def awaited():
            async with await AsyncWireBackend.open(url) as other:
                return type(other), await other.info()

        kind, info = asyncio.run(awaited())
        assert kind is AsyncWireBackend
        assert info["entries"] == 0
