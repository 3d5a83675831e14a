"""What happens at one instant: setnx, and batches as others see them.

Two users of the store work at the same time: one writes, the other looks. What the other sees must
be a state that the store was in between two calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from kvbench.backend import Backend
from kvbench.conformance.backend.cases.base import LONG_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import CaseFailed
from kvbench.model import Value

SETNX = ("setnx",)
ATOMIC = ("atomic-batch",)
BATCH_KEYS = 64
ROUNDS = 150
LOOKING_S_MAX = 2.0
"""A slow store gets fewer rounds, not a slow suite."""


@backend_case("BNX-001", needs=SETNX)
def an_absent_key_is_stored(ctx: BackendContext) -> None:
    """`setnx` of an absent key stores and is True."""
    key = ctx.key()
    ctx.expect(ctx.store.setnx(key, ctx.value()), True, "setnx of an absent key")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after setnx")
    ctx.store.delete(key)
    ctx.expect(ctx.store.setnx(key, ctx.value(1)), True, "setnx of a deleted key")


@backend_case("BNX-002", needs=SETNX)
def a_key_that_is_there_stays(ctx: BackendContext) -> None:
    """`setnx` of a key that is there is False and changes nothing, also when the value is empty."""
    key, empty = ctx.keys(2)
    ctx.store.set(key, ctx.value())
    ctx.store.set(empty, b"")
    for _ in range(2):
        ctx.expect(ctx.store.setnx(key, ctx.value(1)), False, "setnx of a key that is there")
        ctx.expect(ctx.store.setnx(empty, ctx.value(1)), False, "setnx of an empty value")
    ctx.expect(ctx.store.mget([key, empty]), [ctx.value(), b""], "mget after setnx")


@backend_case("BNX-003", needs=("setnx", "typed-values"), after=(*BACKEND.base, "BVAL-005"))
def none_is_there(ctx: BackendContext) -> None:
    """A stored None, False or 0 keeps setnx from storing."""
    key = ctx.key()
    values: tuple[Value, ...] = (None, False, 0, "", [])
    for value in values:
        ctx.store.set(key, value)
        ctx.expect(ctx.store.setnx(key, ctx.value()), False, f"setnx of a key that holds {value!r}")
        ctx.expect(ctx.store.get(key), value, "get after setnx")


@backend_case("BNX-004", needs=("setnx", "ttl"))
def setnx_and_ttls(ctx: BackendContext) -> None:
    """What is stored gets the TTL, what is there keeps its own."""
    key, other = ctx.keys(2)
    ctx.store.setnx(key, ctx.value(), LONG_TTL_S)
    ctx.expect_left(key, LONG_TTL_S, "ttl after setnx with one")
    ctx.store.setnx(key, ctx.value(), 2 * LONG_TTL_S)
    ctx.store.setnx(key, ctx.value())
    ctx.expect_left(key, LONG_TTL_S, "ttl after setnx of a key that is there")
    ctx.store.setnx(other, ctx.value())
    ctx.expect_left(other, None, "ttl after setnx without one")
    ctx.store.setnx(other, ctx.value(), LONG_TTL_S)
    ctx.expect_left(other, None, "ttl after setnx of a key without one")


@backend_case("BNX-005", needs=("setnx", "ttl"))
def expired_keys_are_stored_again(ctx: BackendContext) -> None:
    """An expired key is absent, and what setnx stored expires."""
    key = ctx.key()
    ctx.store.setnx(key, ctx.value(), ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.setnx(key, ctx.value(1)), True, "setnx of an expired key")
    ctx.expect(ctx.store.get(key), ctx.value(1), "get after setnx of an expired key")
    ctx.expect_left(key, None, "ttl after setnx of an expired key")


@backend_case("BNX-006", needs=SETNX)
def one_of_many_stores(ctx: BackendContext) -> None:
    """Four users setnx at once; one of them stores, in every round."""
    rounds, users = 30 * ctx.effort, 4
    keys = ctx.keys(rounds)

    def user(number: int) -> Callable[[Backend], list[bool]]:
        return lambda store: [store.setnx(key, ctx.value(number)) for key in keys]

    answers = ctx.concurrently([user(number) for number in range(users)])
    stored = ctx.store.mget(keys)
    for place in range(rounds):
        of_round = [of_user[place] for of_user in answers]
        ctx.expect(sorted(of_round), [False] * 3 + [True], "answers of four setnx")
        ctx.expect(stored[place], ctx.value(of_round.index(True)), "the value of who stored")


GETDEL = ("getdel",)


@backend_case("BGD-001", needs=GETDEL)
def the_value_comes_and_the_key_goes(ctx: BackendContext) -> None:
    """`getdel` of a key that is there returns its value, also an empty one, and removes the key."""
    key, empty = ctx.keys(2)
    ctx.store.mset({key: ctx.value(), empty: b""})
    ctx.expect(ctx.store.getdel(key), ctx.value(), "getdel of a key that is there")
    ctx.expect(ctx.store.getdel(empty), b"", "getdel of an empty value")
    ctx.expect(ctx.store.mexists([key, empty]), [False, False], "mexists after getdel")


@backend_case("BGD-002", needs=GETDEL)
def nothing_comes_from_an_absent_key(ctx: BackendContext) -> None:
    """`getdel` of an absent key returns None, and leaves it absent and others as they are."""
    key, other = ctx.keys(2)
    ctx.store.set(other, ctx.value())
    for _ in range(2):
        ctx.expect(ctx.store.getdel(key), None, "getdel of an absent key")
        ctx.expect(ctx.store.exists(key), False, "exists after getdel of an absent key")
    ctx.expect(ctx.store.get(other), ctx.value(), "the value of another key")


@backend_case("BGD-003", needs=("getdel", "ttl"))
def nothing_comes_from_an_expired_key(ctx: BackendContext) -> None:
    """An expired key is absent; the TTL of a removed key does not come back."""
    key, other = ctx.keys(2)
    ctx.store.set(key, ctx.value(), ctx.short_ttl_s)
    ctx.store.set(other, ctx.value(), ctx.short_ttl_s)
    ctx.store.getdel(other)
    ctx.store.set(other, ctx.value(1))
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.getdel(key), None, "getdel of an expired key")
    ctx.expect(ctx.store.get(other), ctx.value(1), "what was stored after getdel, without a TTL")


@backend_case("BGD-004", needs=GETDEL)
def one_of_many_gets_the_value(ctx: BackendContext) -> None:
    """Four users getdel at once; one of them gets the value, in every round."""
    rounds, users = 30 * ctx.effort, 4
    keys = ctx.keys(rounds)
    ctx.store.mset(dict.fromkeys(keys, ctx.value()))

    def user(store: Backend) -> list[Value]:
        return [store.getdel(key) for key in keys]

    answers = ctx.concurrently([user] * users)
    for place in range(rounds):
        of_round = [of_user[place] for of_user in answers]
        ctx.expect(of_round.count(ctx.value()), 1, "how many of four getdel got the value")
        ctx.expect(of_round.count(None), users - 1, "how many of four getdel got nothing")


def _look_at_batches(
    ctx: BackendContext, write: Callable[[Backend, Sequence[str], int], object]
) -> None:
    """Have one user write batches while two look; fail the case when one sees a mixture."""
    keys = ctx.keys(BATCH_KEYS)
    ctx.store.mset(dict.fromkeys(keys, ctx.value(0)))
    done = threading.Event()
    until = time.monotonic() + LOOKING_S_MAX * ctx.effort

    def writer(store: Backend) -> list[list[Value]]:
        try:
            for number in range(1, ROUNDS * ctx.effort):
                write(store, keys, number)
                if time.monotonic() > until:
                    break
        finally:
            done.set()
        return []

    def looker(store: Backend) -> list[list[Value]]:
        while not done.is_set():
            seen = store.mget(keys)
            if any(value != seen[0] for value in seen):
                return [seen]
        return []

    for mixture in ctx.concurrently([writer, looker, looker]):
        for seen in mixture:
            values = [repr(value) for value in dict.fromkeys(map(str, seen))]
            raise CaseFailed("one state of all keys", f"a mixture of {', '.join(values[:4])}")


@backend_case("BATOM-001", needs=ATOMIC)
def others_see_a_whole_mset(ctx: BackendContext) -> None:
    """No mget sees some keys before and some after an mset."""
    _look_at_batches(
        ctx, lambda store, keys, number: store.mset(dict.fromkeys(keys, ctx.value(number)))
    )


@backend_case("BATOM-002", needs=ATOMIC, after=(*BACKEND.base, "BATOM-001"))
def others_see_a_whole_mdel(ctx: BackendContext) -> None:
    """No mget sees some keys deleted and some not."""

    def write(store: Backend, keys: Sequence[str], number: int) -> None:
        store.mdel(keys)
        store.mset(dict.fromkeys(keys, ctx.value(number)))

    _look_at_batches(ctx, write)


@backend_case("BATOM-003", needs=("atomic-batch", "ttl-each"))
def others_see_a_whole_mset_each(ctx: BackendContext) -> None:
    """No mget sees some keys before and some after an mset_each."""
    _look_at_batches(
        ctx,
        lambda store, keys, number: store.mset_each(
            [(key, ctx.value(number), None if place % 2 else 60.0 + place % 4)
             for place, key in enumerate(keys)]
        ),
    )  # fmt: skip
