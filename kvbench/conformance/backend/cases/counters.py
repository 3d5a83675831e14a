"""Counters: incr and decr of 64-bit integers."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import cast

from kvbench.backend import Backend
from kvbench.conformance.backend.cases.base import LONG_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import DoesNotApply
from kvbench.errors import KvRefusedError
from kvbench.model import I64_MAX, I64_MIN, Value

COUNTERS = ("counters",)


@backend_case("BCNT-001", needs=COUNTERS)
def counting(ctx: BackendContext) -> None:
    """`incr` adds, decr subtracts, both answer the new value, and the next call sees it."""
    key = ctx.key()
    answers = [
        ctx.store.incr(key, 5), ctx.store.incr(key, 10), ctx.store.decr(key, 3),
        ctx.store.decr(key, 20), ctx.store.incr(key, 8),
    ]  # fmt: skip
    ctx.expect(answers, [5, 15, 12, -8, 0], "answers of incr and decr")


@backend_case("BCNT-002", needs=COUNTERS)
def absent_keys_begin_at_zero(ctx: BackendContext) -> None:
    """An absent key counts from 0, and is there afterwards."""
    up, down = ctx.keys(2)
    ctx.expect(ctx.store.incr(up, 7), 7, "incr of an absent key")
    ctx.expect(ctx.store.decr(down, 7), -7, "decr of an absent key")
    ctx.expect(ctx.store.mexists([up, down]), [True, True], "mexists of new counters")
    ctx.store.delete(up)
    ctx.expect(ctx.store.incr(up, 2), 2, "incr of a deleted counter")


@backend_case("BCNT-003", needs=COUNTERS)
def one_by_one(ctx: BackendContext) -> None:
    """Without a delta it is 1."""
    key = ctx.key()
    answers = [ctx.store.incr(key), ctx.store.incr(key), ctx.store.decr(key), ctx.store.incr(key)]
    ctx.expect(answers, [1, 2, 1, 2], "answers without a delta")


@backend_case("BCNT-004", needs=COUNTERS)
def every_delta(ctx: BackendContext) -> None:
    """0, negative deltas and those at the bounds, up to both ends of i64."""
    key = ctx.key()
    ctx.expect(ctx.store.incr(key, 0), 0, "incr by 0 of an absent key")
    ctx.expect(ctx.store.incr(key, -5), -5, "incr by -5")
    ctx.expect(ctx.store.decr(key, -5), 0, "decr by -5")
    ctx.expect(ctx.store.incr(key, I64_MAX), I64_MAX, "incr to the upper bound")
    ctx.expect(ctx.store.incr(key, 0), I64_MAX, "incr by 0 at the upper bound")
    ctx.expect(ctx.store.decr(key, I64_MAX), 0, "decr from the upper bound")
    ctx.expect(ctx.store.incr(key, I64_MIN), I64_MIN, "incr to the lower bound")
    ctx.expect(ctx.store.decr(key, I64_MIN), 0, "decr by the lower bound")
    ctx.expect(ctx.store.decr(key, 1), -1, "decr to -1")
    ctx.expect(ctx.store.decr(key, I64_MIN), I64_MAX, "-1 less the lower bound")


@backend_case("BCNT-005", needs=COUNTERS)
def results_beyond_64_bits(ctx: BackendContext) -> None:
    """Counters do not wrap: one step too far is an error and changes nothing."""
    up, down, absent = ctx.keys(3)
    ctx.store.incr(up, I64_MAX)
    ctx.store.incr(down, I64_MIN)
    error = (KvRefusedError,)
    ctx.expect_error(error, lambda: ctx.store.incr(up), "incr at the upper bound")
    ctx.expect_error(error, lambda: ctx.store.decr(up, -1), "decr by -1 at the upper bound")
    ctx.expect_error(error, lambda: ctx.store.incr(up, I64_MAX), "incr by the upper bound")
    ctx.expect_error(error, lambda: ctx.store.decr(down), "decr at the lower bound")
    ctx.expect_error(error, lambda: ctx.store.incr(down, I64_MIN), "incr by the lower bound")
    ctx.expect_error(error, lambda: ctx.store.decr(absent, I64_MIN), "0 less the lower bound")
    ctx.expect(ctx.store.incr(up, 0), I64_MAX, "the upper counter")
    ctx.expect(ctx.store.incr(down, 0), I64_MIN, "the lower counter")
    ctx.expect(ctx.store.exists(absent), False, "exists of the key that was absent")


@backend_case("BCNT-013", needs=COUNTERS)
def counters_are_digits(ctx: BackendContext) -> None:
    """In a store of bytes, `set` of digits begins a counter, get reads them; no others are one."""
    if ctx.is_typed:
        raise DoesNotApply("it holds integers as such")
    key, new = ctx.keys(2)
    for number in (42, 0, -7, I64_MAX, I64_MIN):
        digits = b"%d" % number
        ctx.store.set(key, digits)
        ctx.expect(ctx.store.incr(key, 0), number, f"incr by 0 of {digits!r}")
        ctx.expect(ctx.store.get(key), digits, "get of a counter")
    ctx.store.set(key, b"-1")
    ctx.expect(ctx.store.incr(key, 11), 10, "incr of digits that were set")
    ctx.expect(ctx.store.decr(new, 3), -3, "decr of an absent key")
    ctx.expect(ctx.store.mget([key, new]), [b"10", b"-3"], "mget of counters")
    for digits in (b"007", b"+1", b"-0", b"--1", b"-", b"1\n", b"1\0", "١".encode()):
        ctx.store.set(key, digits)
        ctx.expect_error((KvRefusedError,), lambda: ctx.store.incr(key), f"incr of {digits!r}")
        ctx.expect(ctx.store.get(key), digits, "get after a refused incr")


@backend_case("BCNT-006", needs=COUNTERS, after=(*BACKEND.base, "BVAL-001", "BCNT-013"))
def values_that_are_no_integers(ctx: BackendContext) -> None:
    """What is no integer is left as it is."""
    key = ctx.key()
    for value in (b"text", b"", b"1.5", b"9223372036854775808", b"1 ", b" 1", b"0x1", b"1_0"):
        ctx.store.set(key, value)
        ctx.expect_error((KvRefusedError,), lambda: ctx.store.incr(key), f"incr of {value!r}")
        ctx.expect_error((KvRefusedError,), lambda: ctx.store.decr(key), f"decr of {value!r}")
        ctx.expect(ctx.store.get(key), value, "get after a refused incr")


@backend_case("BCNT-010", needs=("counters", "typed-values"), after=(*BACKEND.base, "BVAL-005"))
def counters_are_ints(ctx: BackendContext) -> None:
    """`set` begins a counter, get reads it, set ends it; other types are none."""
    key = ctx.key()
    ctx.store.set(key, 40)
    ctx.expect(ctx.store.incr(key, 2), 42, "incr of an int that was set")
    ctx.expect(ctx.store.get(key), 42, "get of a counter")
    ctx.expect(ctx.store.mget([key]), [42], "mget of a counter")
    ctx.store.set(key, 0)
    ctx.expect(ctx.store.decr(key), -1, "decr after set")
    others: tuple[Value, ...] = (True, 1.0, "1", b"1", Decimal(1), None, [1], {"a": 1})
    for value in others:
        ctx.store.set(key, value)
        ctx.expect_error((KvRefusedError,), lambda: ctx.store.incr(key), f"incr of {value!r}")
        ctx.expect(ctx.store.get(key), value, "get after a refused incr")


@backend_case("BCNT-007", needs=("counters", "ttl"))
def counters_keep_their_ttl(ctx: BackendContext) -> None:
    """Counting neither renews nor removes a TTL, and gives none."""
    key, other = ctx.keys(2)
    ctx.store.incr(key)
    ctx.expect_left(key, None, "ttl of a new counter")
    ctx.store.decr(other)
    ctx.expect_left(other, None, "ttl of a new counter")
    ctx.store.expire(key, LONG_TTL_S)
    ctx.store.incr(key)
    ctx.expect_left(key, LONG_TTL_S, "ttl after incr")
    ctx.store.decr(key)
    ctx.expect_left(key, LONG_TTL_S, "ttl after decr")


@backend_case("BCNT-011", needs=("counters", "ttl"))
def expired_counters_begin_anew(ctx: BackendContext) -> None:
    """A counter that has expired is absent."""
    key = ctx.key()
    ctx.store.incr(key, 100)
    ctx.store.expire(key, ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.incr(key), 1, "incr of an expired counter")
    ctx.expect_left(key, None, "ttl of the counter that began anew")


@backend_case("BCNT-008", "BCNT-009", needs=COUNTERS)
def deltas_that_are_refused(ctx: BackendContext) -> None:
    """Deltas of another type, or beyond 64 bits, are refused."""
    key = ctx.key()
    ctx.store.incr(key, 5)
    refused: list[tuple[object, type[Exception]]] = [
        *[(delta, TypeError) for delta in (True, 1.0, "1", b"1", None, Decimal(1))],
        *[(delta, ValueError) for delta in (I64_MAX + 1, I64_MIN - 1, 10**30)],
    ]
    for given, kind in refused:
        delta = cast("int", given)
        ctx.expect_error((kind,), partial(ctx.store.incr, key, delta), f"incr by {given!r}")
        ctx.expect_error((kind,), partial(ctx.store.decr, key, delta), f"decr by {given!r}")
    ctx.expect(ctx.store.incr(key, 0), 5, "the counter after refused deltas")


@backend_case("BCNT-012", needs=COUNTERS)
def every_count_counts(ctx: BackendContext) -> None:
    """Four users count at once, and none of it is lost."""
    key, users, steps = ctx.key(), 4, 100 * ctx.effort

    def count(store: Backend) -> list[int]:
        return [store.incr(key) for _ in range(steps)]

    answers = ctx.concurrently([count] * users)
    ctx.expect(ctx.store.incr(key, 0), users * steps, "the counter after all")
    seen = sorted([number for of_user in answers for number in of_user])
    ctx.expect(seen, list(range(1, users * steps + 1)), "the answers, each number once")
