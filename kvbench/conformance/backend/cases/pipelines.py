"""Pipelined calls: each answers what its single call would, in order, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import cast

from kvbench.conformance.backend.cases.base import LONG_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.guard import NO_TEXT
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.model import Pairs, Value

PIPELINING = ("pipelining",)
MANY = 20_000
"""Requests of a long pipeline."""

LARGE_BYTES, LARGE_KEYS, LARGE_GETS = 1_000_000, 16, 64
"""More than the buffers of two sockets hold, and little enough for a small server to keep."""

LONG_NAME = "absent".ljust(200, "-")
"""So many requests for it fill the buffers of two sockets, too."""


def _stored(ctx: BackendContext, count: int) -> list[str]:
    """So many keys, each stored with a different value by set."""
    keys = ctx.keys(count)
    for number, key in enumerate(keys):
        ctx.store.set(key, ctx.value(number))
    return keys


@backend_case("BPIPE-001", needs=PIPELINING)
def pipelined_gets(ctx: BackendContext) -> None:
    """The values in the order of the keys, absent and repeated ones in their places."""
    keys, absent = _stored(ctx, 20), ctx.key("absent")
    ctx.expect(ctx.store.pipelined_get(keys[:1]), [ctx.value(0)], "pipelined_get of one key")
    ctx.expect(ctx.store.pipelined_get([absent]), [None], "pipelined_get of an absent key")
    for _ in range(5):
        asked = [ctx.rng.choice([*keys, absent]) for _ in range(50)]
        expected = [ctx.store.get(key) for key in asked]
        ctx.expect(ctx.store.pipelined_get(asked), expected, "pipelined_get in any order")
    expected = [ctx.value(number) for number in range(20)]
    ctx.expect(ctx.store.pipelined_get(tuple(keys)), expected, "pipelined_get of a tuple")


@backend_case("BPIPE-002", needs=PIPELINING)
def pipelined_sets(ctx: BackendContext) -> None:
    """Every pair is stored, of a mapping and of a generator; the last of a key stays."""
    keys = ctx.keys(5)
    items = {key: ctx.value(number) for number, key in enumerate(keys)}
    answer: object = ctx.store.pipelined_set(items)  # type: ignore[func-returns-value]
    ctx.expect(answer, None, "pipelined_set returns")
    expected = [ctx.value(number) for number in range(5)]
    ctx.expect([ctx.store.get(key) for key in keys], expected, "keys after pipelined_set")

    def generated() -> Iterator[tuple[str, Value]]:
        yield from [(keys[0], ctx.value(7)), (keys[1], ctx.value(8)), (keys[0], ctx.value(9))]

    ctx.store.pipelined_set(generated())
    ctx.expect(ctx.store.get(keys[0]), ctx.value(9), "get of a key that came twice")
    ctx.expect(ctx.store.get(keys[1]), ctx.value(8), "get of a key that came once")


@backend_case("BPIPE-003", needs=PIPELINING)
def pipelined_deletes(ctx: BackendContext) -> None:
    """True where a key was there, False where it was not, or not any more."""
    first, second = _stored(ctx, 2)
    absent = ctx.key("absent")
    answers = ctx.store.pipelined_delete([absent, first, second, first])
    ctx.expect(answers, [False, True, True, False], "pipelined_delete")
    ctx.expect(ctx.store.mexists([first, second]), [False, False], "mexists after it")


@backend_case("BPIPE-004", needs=PIPELINING)
def pipelined_exists(ctx: BackendContext) -> None:
    """True or False for each key in its place."""
    first, second = _stored(ctx, 2)
    absent = ctx.key("absent")
    answers = ctx.store.pipelined_exists([second, absent, first, second, absent])
    ctx.expect(answers, [True, False, True, True, False], "pipelined_exists")


@backend_case("BPIPE-005", needs=("pipelining", "ttl"))
def pipelined_sets_give_a_ttl(ctx: BackendContext) -> None:
    """Every key gets the TTL, or loses the one that it had."""
    keys = ctx.keys(3)
    ctx.store.set(keys[0], ctx.value(), 2 * LONG_TTL_S)
    items = dict.fromkeys(keys, ctx.value())
    ctx.store.pipelined_set(items, LONG_TTL_S)
    for key in keys:
        ctx.expect_left(key, LONG_TTL_S, "ttl after pipelined_set with a TTL")
    ctx.store.pipelined_set(items)
    for key in keys:
        ctx.expect_left(key, None, "ttl after pipelined_set without a TTL")


@backend_case("BPIPE-006", needs=PIPELINING)
def none_and_many(ctx: BackendContext) -> None:
    """Nothing is accepted, and a long pipeline is answered as a short one."""
    store = ctx.store
    answers = store.pipelined_get([]), store.pipelined_delete([]), store.pipelined_exists([])
    ctx.expect(answers, ([], [], []), "pipelined calls of nothing")
    store.pipelined_set({})
    keys = ctx.keys(MANY)
    values = [ctx.value(number) for number in range(MANY)]
    store.pipelined_set(dict(zip(keys, values, strict=True)), ctx.net_ttl_s)
    ctx.expect(store.pipelined_get(keys) == values, True, f"pipelined_get gives {MANY} values")
    ctx.expect(sum(store.pipelined_exists(keys)), MANY, "keys of which pipelined_exists is True")
    ctx.expect(sum(store.pipelined_delete(keys)), MANY, "keys that pipelined_delete removed")
    ctx.expect(store.mget(keys[-2:]), [None, None], "mget of the last two")


@backend_case("BPIPE-007", needs=PIPELINING, after=(*BACKEND.base, "BPIPE-006"))
def large_values(ctx: BackendContext) -> None:
    """Values that no buffer holds go and come, also when one key is asked for again and again."""
    keys = ctx.keys(LARGE_KEYS)
    values: list[Value] = [(b"%02d" % number) * (LARGE_BYTES // 2) for number in range(LARGE_KEYS)]
    ctx.store.pipelined_set(list(zip(keys, values, strict=True)), ctx.net_ttl_s)
    found = ctx.store.pipelined_get(keys)
    wrong = [place for place in range(LARGE_KEYS) if found[place] != values[place]]
    ctx.expect(wrong, [], "places of wrong values")
    # The server has to write before it can read on, and so has the caller.
    asked = [keys[0]] * LARGE_GETS + [ctx.key(LONG_NAME)] * (2 * MANY) + [keys[1]]
    found = ctx.store.pipelined_get(asked)
    expected = [*[values[0]] * LARGE_GETS, *[None] * (2 * MANY), values[1]]
    ctx.expect(found == expected, True, "pipelined_get of large values and many absent keys")
    ctx.store.pipelined_delete(keys)


@backend_case("BPIPE-008", needs=PIPELINING)
def refused_pipelines_are_not_applied_in_part(ctx: BackendContext) -> None:
    """One bad key, value or TTL, in any place, means that nothing happens."""
    kept, new = ctx.key("kept"), ctx.key("new")
    ctx.store.set(kept, ctx.value())
    long = ctx.prefix + "x" * 257
    good: list[tuple[str, object]] = [(kept, ctx.value(1)), (new, ctx.value(2))]
    for bad in ((ctx.key("bad"), object()), ("", ctx.value()), (long, ctx.value()), (kept,)):
        for place in range(3):
            pairs = cast("Pairs", [*good[:place], bad, *good[place:]])
            what = f"pipelined_set with a bad pair in place {place}"
            call = partial(ctx.store.pipelined_set, pairs)
            ctx.expect_error((TypeError, ValueError), call, what)
            keys = [kept, new]
            keys.insert(place, cast("str", NO_TEXT))
            for refused in (ctx.store.pipelined_delete, ctx.store.pipelined_get):
                ctx.expect_error((TypeError,), partial(refused, keys), "a pipeline with a bad key")
            ctx.expect(ctx.store.mget([kept, new]), [ctx.value(), None], "mget after a refusal")
    if ctx.has_ttl:
        call = partial(ctx.store.pipelined_set, {kept: ctx.value(1)}, -1.0)
        ctx.expect_error((ValueError,), call, "pipelined_set with a bad TTL")
        ctx.expect(ctx.store.get(kept), ctx.value(), "get after a refused TTL")
