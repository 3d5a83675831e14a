"""Every operation as a call, by name: for the clauses that hold for all operations.

A call is made for one suspicious argument, with everything else in order; batches carry it with
harmless keys. Only operations that the store declares are in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import cast

from kvbench.backend import OPTIONAL_METHODS, Backend
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.findings import evidence_of
from kvbench.model import Capability, Value

Calls = Mapping[str, Callable[[], object]]
"""Calls by the name of their operation."""

LOCK_TTL_S = 60.0
"""A lock that is still held at the end of any case, unless the case waits for its end."""


CORE_METHODS = ("get", "set", "delete", "exists", "mget", "mset", "mdel", "mexists")
"""The operations that every adapter has."""


def arguments(context: BackendContext, operation: str, key: object) -> list[object]:
    """What a method of :class:`Backend` needs: ``key``, in batches as the second of two keys."""
    beside, value = context.key("beside"), context.value()
    known: dict[str, object] = {
        "key": key,
        "keys": [beside, key],
        "pairs": [(beside, value), (key, value)],
        "entries": [(beside, value, None), (key, value, None)],
        "value": value,
        "expected": value,
        "new": value,
        "ttl": LOCK_TTL_S,
        "owner": "owner",
    }
    _, *parameters = inspect.signature(getattr(Backend, operation)).parameters.values()
    return [known[one.name] for one in parameters if one.default is one.empty]


def with_key(context: BackendContext, key: object) -> Calls:
    """Each operation on ``key``, in batches as the second of two keys."""
    declared = [OPTIONAL_METHODS.get(Capability(one), ()) for one in sorted(context.capabilities)]
    return {
        name: partial(getattr(context.store, name), *arguments(context, name, key))
        for name in (*CORE_METHODS, *chain.from_iterable(declared))
    }


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
    """Each operation that gives ``key`` a TTL, locks apart; batches carry it with another."""
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
    """Fail the case unless each call raises ``kind``; of a batch then nothing may be stored."""
    beside = context.key("beside")
    for operation, call in calls.items():
        context.expect_error((kind,), call, f"{operation} with {shown!r:.60}")
        with evidence_of("BPIPE-008" if operation.startswith("pipelined") else "BBATCH-003"):
            context.expect(context.store.exists(beside), False, "nothing of it is stored")
