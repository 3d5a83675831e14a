"""Compare and swap: what equals what, and what happens to value and TTL."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import cast

from kvbench.backend import Backend
from kvbench.conformance.backend.cases.base import LONG_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.model import Value

CAS = ("cas",)
TYPED = ("cas", "typed-values")
KEPT = (*BACKEND.base, *[f"BVAL-{one:03d}" for one in (1, 5, 6, 8, 9, 10, 12)])
"""What a case stands on that compares values of all types: they are kept as they were."""


def _expect_equal(ctx: BackendContext, stored: Value, expected: Value) -> None:
    key = ctx.key()
    ctx.store.set(key, stored)
    what = f"cas of {stored!r}, expecting {expected!r}"
    ctx.expect(ctx.store.cas(key, expected, ctx.value(9)), True, what)
    ctx.expect(ctx.store.get(key), ctx.value(9), "get after a cas that swapped")


def _expect_different(ctx: BackendContext, stored: Value, expected: Value) -> None:
    key = ctx.key()
    ctx.store.set(key, stored)
    what = f"cas of {stored!r}, expecting {expected!r}"
    ctx.expect(ctx.store.cas(key, expected, ctx.value(9)), False, what)
    ctx.expect(ctx.store.get(key) != ctx.value(9), True, "the value stays after a mismatch")


@backend_case("BCAS-001", needs=CAS)
def a_match_swaps(ctx: BackendContext) -> None:
    """What was expected is replaced, again and again."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(0))
    for number in range(3):
        swapped = ctx.store.cas(key, ctx.value(number), ctx.value(number + 1))
        ctx.expect(swapped, True, "cas with the stored value")
        ctx.expect(ctx.store.get(key), ctx.value(number + 1), "get after cas")


@backend_case("BCAS-002", needs=CAS, after=(*BACKEND.base, "BVAL-001"))
def a_mismatch_changes_nothing(ctx: BackendContext) -> None:
    """What was not expected stays: value and TTL."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), LONG_TTL_S if ctx.has_ttl else None)
    for other in (ctx.value(1), b"", b"value", b"value 0 ", b"VALUE 0"):
        ctx.expect(ctx.store.cas(key, other, ctx.value(2)), False, f"cas expecting {other!r}")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after mismatches")
    if ctx.has_ttl:
        ctx.store.cas(key, ctx.value(1), ctx.value(2), 2 * LONG_TTL_S)
        ctx.expect_left(key, LONG_TTL_S, "ttl after mismatches")


@backend_case("BCAS-003", needs=CAS)
def an_absent_key(ctx: BackendContext) -> None:
    """`cas` of an absent key is None and stores nothing."""
    key = ctx.key()
    for expected in (ctx.value(), b"", *((None, 0, "", []) if ctx.is_typed else ())):
        answer = ctx.store.cas(key, expected, ctx.value(1))
        ctx.expect(answer, None, f"cas of an absent key, expecting {expected!r}")
        ctx.expect(ctx.store.exists(key), False, "exists after cas of an absent key")


@backend_case("BCAS-004", needs=TYPED, after=KEPT)
def types_differ(ctx: BackendContext) -> None:
    """1, 1.0, Decimal 1, True and "1" are five values, alone, in lists and in dicts."""
    kinds: list[Value] = [1, 1.0, Decimal(1), True, "1", b"1", [1], {"1": 1}]
    none: list[Value] = [None, False, 0, 0.0, "", b"", [], {}]
    for values in (kinds, none):
        for stored in values:
            for expected in values:
                same = stored is expected
                check = _expect_equal if same else _expect_different
                check(ctx, stored, expected)
                if same or isinstance(stored, int):
                    check(ctx, [stored], [expected])
                    check(ctx, {"a": [stored]}, {"a": [expected]})


@backend_case("BCAS-005", needs=TYPED, after=(*KEPT, "BVAL-013"))
def order_of_dicts_and_lists(ctx: BackendContext) -> None:
    """A dict is its pairs, a list its items in order."""
    _expect_equal(ctx, {"a": 1, "b": [2]}, {"b": [2], "a": 1})
    _expect_equal(ctx, [{"a": 1, "b": 2}], [{"b": 2, "a": 1}])
    _expect_different(ctx, {"a": 1, "b": 2}, {"a": 1})
    _expect_different(ctx, {"a": 1}, {"a": 1, "b": 2})
    _expect_different(ctx, {"a": 1, "b": 2}, {"a": 2, "b": 1})
    _expect_different(ctx, {"a": None}, {"b": None})
    _expect_equal(ctx, [1, 2, 3], [1, 2, 3])
    _expect_equal(ctx, [1, 2], cast("Value", (1, 2)))
    _expect_different(ctx, [1, 2, 3], [3, 2, 1])
    _expect_different(ctx, [1, 2], [1, 2, 3])
    _expect_different(ctx, [1, 2, 3], [1, 2])


@backend_case("BCAS-006", needs=TYPED)
def nan_equals_nothing(ctx: BackendContext) -> None:
    """NaN never matches, however it is wrapped."""
    for nan in (math.nan, Decimal("NaN")):
        for value in (nan, [nan], {"a": nan}, [[1, {"a": [nan]}]]):
            _expect_different(ctx, cast("Value", value), cast("Value", value))


@backend_case("BCAS-007", needs=TYPED, after=KEPT)
def numbers_of_one_type(ctx: BackendContext) -> None:
    """Numbers are compared as numbers."""
    _expect_equal(ctx, Decimal("1.0"), Decimal("1.00"))
    _expect_equal(ctx, Decimal("1E+2"), Decimal("100"))
    _expect_equal(ctx, -0.0, 0.0)
    _expect_equal(ctx, [0.0, Decimal("-0")], [-0.0, Decimal("0.0")])
    _expect_different(ctx, Decimal("0.1"), Decimal("0.10000000000000000001"))
    _expect_different(ctx, 2**53, 2**53 + 1)
    _expect_equal(ctx, math.inf, math.inf)


@backend_case("BCAS-008", needs=TYPED, after=(*KEPT, "BEXISTS-002"))
def a_stored_none(ctx: BackendContext) -> None:
    """None can be expected and can be the new value."""
    key = ctx.key()
    ctx.store.set(key, None)
    ctx.expect(ctx.store.cas(key, 0, 1), False, "cas of None, expecting 0")
    ctx.expect(ctx.store.cas(key, None, 1), True, "cas of None, expecting None")
    ctx.expect(ctx.store.cas(key, 1, None), True, "cas to None")
    ctx.expect(ctx.store.exists(key), True, "exists after cas to None")


@backend_case("BCAS-009", needs=("cas", "ttl"))
def ttls_of_swaps(ctx: BackendContext) -> None:
    """A TTL is given or kept."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(0))
    ctx.store.cas(key, ctx.value(0), ctx.value(1))
    ctx.expect_left(key, None, "ttl after cas without one, where there was none")
    ctx.store.cas(key, ctx.value(1), ctx.value(2), LONG_TTL_S)
    ctx.expect_left(key, LONG_TTL_S, "ttl after cas with one")
    ctx.store.cas(key, ctx.value(2), ctx.value(3))
    ctx.expect_left(key, LONG_TTL_S, "ttl after cas without one")
    ctx.store.cas(key, ctx.value(3), ctx.value(4), 2 * LONG_TTL_S)
    ctx.expect_left(key, 2 * LONG_TTL_S, "ttl after cas with another one")


@backend_case("BCAS-010", needs=("cas", "ttl"))
def an_expired_key(ctx: BackendContext) -> None:
    """A key that has expired is absent, and one that cas gave a TTL expires."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(0))
    ctx.store.cas(key, ctx.value(0), ctx.value(1), ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.cas(key, ctx.value(1), ctx.value(2)), None, "cas of an expired key")
    ctx.expect(ctx.store.exists(key), False, "exists after cas of an expired key")


@backend_case("BCAS-011", needs=CAS)
def one_of_many_swaps(ctx: BackendContext) -> None:
    """Four users expect the same value at once; one of them swaps, in every round."""
    rounds, users = 30 * ctx.effort, 4
    keys = ctx.keys(rounds)
    ctx.store.mset(dict.fromkeys(keys, ctx.value(99)))

    def user(number: int) -> Callable[[Backend], list[bool | None]]:
        return lambda store: [store.cas(key, ctx.value(99), ctx.value(number)) for key in keys]

    answers = ctx.concurrently([user(number) for number in range(users)])
    stored = ctx.store.mget(keys)
    for place in range(rounds):
        of_round = [of_user[place] for of_user in answers]
        ctx.expect(sorted(map(str, of_round)), ["False"] * 3 + ["True"], "answers of four cas")
        ctx.expect(stored[place], ctx.value(of_round.index(True)), "the value of who swapped")


@backend_case("BCAS-012", needs=CAS)
def values_that_are_refused(ctx: BackendContext) -> None:
    """What cannot be stored cannot be expected either."""
    key = ctx.key()
    ctx.store.set(key, ctx.value())
    for bad in (object(), {1, 2}, bytearray(b"x"), *(() if ctx.is_typed else ("text", 1, None))):
        value = cast("Value", bad)
        for call in (
            lambda value=value: ctx.store.cas(key, value, ctx.value(1)),
            lambda value=value: ctx.store.cas(key, ctx.value(), value),
            lambda value=value: ctx.store.cas(ctx.key("absent"), value, ctx.value()),
        ):
            ctx.expect_error((TypeError,), call, f"cas with {bad!r:.60}")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after refused cas")
