"""Carrying out calls through an adapter: single, pipelined or in batches."""

from __future__ import annotations

from collections.abc import Callable

from kvbench.backend import Backend
from kvbench.load.calls import Call, Op

Perform = Callable[[Call], int | None]
"""Carries out a call; returns how many of its keys were there, None if the call did not look."""


def performer(batch_size: int, pipeline: int, ttl: float | None) -> Callable[[Backend], Perform]:
    """The function that carries out calls, for any backend.

    Args:
        batch_size: keys in a request: 1 for single operations.
        pipeline: requests in a call; only single operations are pipelined.
        ttl: of stored keys.
    """
    if batch_size > 1:
        return lambda backend: _batches(backend, ttl)
    if pipeline > 1:
        return lambda backend: _pipelined(backend, ttl)
    return lambda backend: _single(backend, ttl)


def _single(backend: Backend, ttl: float | None) -> Perform:
    def perform(call: Call) -> int | None:
        key = call.keys[0]
        match call.op:
            case Op.GET:
                return backend.get(key) is not None
            case Op.SET:
                backend.set(key, call.values[0], ttl)
                return None
            case Op.DELETE:
                return backend.delete(key)
            case Op.EXISTS:
                return backend.exists(key)
            case Op.READ_MODIFY_WRITE:
                found = backend.get(key) is not None
                backend.set(key, call.values[0], ttl)
                return found

    return perform


def _batches(backend: Backend, ttl: float | None) -> Perform:
    def perform(call: Call) -> int | None:
        keys = call.keys
        match call.op:
            case Op.GET:
                return len(keys) - backend.mget(keys).count(None)
            case Op.SET:
                backend.mset(zip(keys, call.values, strict=True), ttl)
                return None
            case Op.DELETE:
                return backend.mdel(keys)
            case Op.EXISTS:
                return sum(backend.mexists(keys))
            case Op.READ_MODIFY_WRITE:
                found = len(keys) - backend.mget(keys).count(None)
                backend.mset(zip(keys, call.values, strict=True), ttl)
                return found

    return perform


def _pipelined(backend: Backend, ttl: float | None) -> Perform:
    def perform(call: Call) -> int | None:
        keys = call.keys
        match call.op:
            case Op.GET:
                return len(keys) - backend.pipelined_get(keys).count(None)
            case Op.SET:
                backend.pipelined_set(zip(keys, call.values, strict=True), ttl)
                return None
            case Op.DELETE:
                return sum(backend.pipelined_delete(keys))
            case Op.EXISTS:
                return sum(backend.pipelined_exists(keys))
            case Op.READ_MODIFY_WRITE:
                found = len(keys) - backend.pipelined_get(keys).count(None)
                backend.pipelined_set(zip(keys, call.values, strict=True), ttl)
                return found

    return perform
