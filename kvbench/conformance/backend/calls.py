"""Every operation as a call, by name: for the clauses that hold for all operations.

A call is made for one suspicious argument, with everything else in order; batches carry it beside
innocent keys. Only operations that the store declares are in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from kvbench.conformance.backend.context import BackendContext
from kvbench.model import Capability, Value

Calls = Mapping[str, Callable[[], object]]
"""Calls by the name of their operation."""

LOCK_TTL_S = 60.0
"""A lock that is still held at the end of any case, unless the case waits for its end."""


def with_key(context: BackendContext, key: object) -> Calls:
    """Each operation on ``key``, in batches as the second of two keys."""
    store, name = context.store, cast("str", key)
    beside, value = context.key("beside"), context.value()
    calls: dict[str, Callable[[], object]] = {
        "get": lambda: store.get(name),
        "set": lambda: store.set(name, value),
        "delete": lambda: store.delete(name),
        "exists": lambda: store.exists(name),
        "mget": lambda: store.mget([beside, name]),
        "mset": lambda: store.mset([(beside, value), (name, value)]),
        "mdel": lambda: store.mdel([beside, name]),
        "mexists": lambda: store.mexists([beside, name]),
    }
    if Capability.TTL in context.capabilities:
        calls["expire"] = lambda: store.expire(name, 60)
        calls["ttl"] = lambda: store.ttl(name)
    if Capability.TTL_EACH in context.capabilities:
        calls["mset_each"] = lambda: store.mset_each([(beside, value, None), (name, value, None)])
    if Capability.SETNX in context.capabilities:
        calls["setnx"] = lambda: store.setnx(name, value)
    if Capability.GETDEL in context.capabilities:
        calls["getdel"] = lambda: store.getdel(name)
    if Capability.COUNTERS in context.capabilities:
        calls["incr"] = lambda: store.incr(name)
        calls["decr"] = lambda: store.decr(name)
    if Capability.CAS in context.capabilities:
        calls["cas"] = lambda: store.cas(name, value, value)
    if Capability.LOCKS in context.capabilities:
        calls["lock"] = lambda: store.lock(name, "owner", LOCK_TTL_S)
        calls["unlock"] = lambda: store.unlock(name, "owner")
        calls["extend_lock"] = lambda: store.extend_lock(name, "owner", LOCK_TTL_S)
    if Capability.PIPELINING in context.capabilities:
        calls["pipelined_get"] = lambda: store.pipelined_get([beside, name])
        calls["pipelined_set"] = lambda: store.pipelined_set([(beside, value), (name, value)])
        calls["pipelined_delete"] = lambda: store.pipelined_delete([beside, name])
        calls["pipelined_exists"] = lambda: store.pipelined_exists([beside, name])
    return calls


def with_value(context: BackendContext, key: str, value: object) -> Calls:
    """Each operation that stores ``value`` under ``key``, in batches as the second of two."""
    store, given = context.store, cast("Value", value)
    beside, other = context.key("beside"), context.value()
    calls: dict[str, Callable[[], object]] = {
        "set": lambda: store.set(key, given),
        "mset": lambda: store.mset([(beside, other), (key, given)]),
    }
    if Capability.TTL_EACH in context.capabilities:
        calls["mset_each"] = lambda: store.mset_each([(beside, other, None), (key, given, None)])
    if Capability.SETNX in context.capabilities:
        calls["setnx"] = lambda: store.setnx(key, given)
    if Capability.CAS in context.capabilities:
        calls["cas"] = lambda: store.cas(key, other, given)
    if Capability.PIPELINING in context.capabilities:
        calls["pipelined_set"] = lambda: store.pipelined_set([(beside, other), (key, given)])
    return calls


def with_ttl(context: BackendContext, key: str, ttl: object) -> Calls:
    """Each operation that gives ``key`` a TTL, locks apart; batches carry it beside another."""
    store, seconds = context.store, cast("float", ttl)
    beside, value = context.key("beside"), context.value(1)
    calls: dict[str, Callable[[], object]] = {
        "set": lambda: store.set(key, value, seconds),
        "mset": lambda: store.mset([(beside, value), (key, value)], seconds),
        "expire": lambda: store.expire(key, seconds),
    }
    if Capability.TTL_EACH in context.capabilities:
        entries = [(beside, value, None), (key, value, seconds)]
        calls["mset_each"] = lambda: store.mset_each(entries)
    if Capability.SETNX in context.capabilities:
        calls["setnx"] = lambda: store.setnx(key, value, seconds)
    if Capability.CAS in context.capabilities:
        calls["cas"] = lambda: store.cas(key, context.value(), value, seconds)
    if Capability.PIPELINING in context.capabilities:
        pairs = [(beside, value), (key, value)]
        calls["pipelined_set"] = lambda: store.pipelined_set(pairs, seconds)
    return calls


def expect_refused(
    context: BackendContext, kind: type[Exception], calls: Calls, shown: object
) -> None:
    """Fail the case unless each call raises ``kind``, and nothing appears beside the key."""
    for operation, call in calls.items():
        context.expect_error((kind,), call, f"{operation} with {shown!r:.60}")
    context.expect(context.store.exists(context.key("beside")), False, "nothing of it is stored")
