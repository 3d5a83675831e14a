"""Locks: who holds one, for how long, and who may let go of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

from kvbench.backend import Backend
from kvbench.conformance.backend.calls import LOCK_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import backend_case
from kvbench.errors import KvRefusedError

LOCKS = ("locks",)


def _expect_held(ctx: BackendContext, key: str, owner: str) -> None:
    """Fail the case unless ``owner`` holds the lock; takes it from them, and gives it back."""
    ctx.expect(ctx.store.lock(key, "other", LOCK_TTL_S), False, "lock by another owner")
    ctx.expect(ctx.store.extend_lock(key, owner, LOCK_TTL_S), True, f"extend_lock by {owner!r:.40}")


@backend_case("BLOCK-001", needs=LOCKS)
def a_free_lock_is_taken(ctx: BackendContext) -> None:
    """`lock` of an absent key is True, and the owner holds it."""
    key = ctx.key()
    ctx.expect(ctx.store.lock(key, "me", LOCK_TTL_S), True, "lock of an absent key")
    _expect_held(ctx, key, "me")


@backend_case("BLOCK-002", needs=LOCKS)
def a_key_that_is_there_is_not_taken(ctx: BackendContext) -> None:
    """`lock` of a held lock, or of any key that is there, is False and changes nothing."""
    key, plain = ctx.keys(2)
    ctx.store.lock(key, "me", LOCK_TTL_S)
    ctx.expect(ctx.store.lock(key, "you", LOCK_TTL_S), False, "lock of a held lock")
    ctx.expect(ctx.store.unlock(key, "me"), True, "unlock by who held it")
    ctx.store.set(plain, ctx.value())
    ctx.expect(ctx.store.lock(plain, "me", LOCK_TTL_S), False, "lock of an ordinary key")
    ctx.expect(ctx.store.get(plain), ctx.value(), "get of the ordinary key")


@backend_case("BLOCK-003", needs=LOCKS)
def locks_are_not_reentrant(ctx: BackendContext) -> None:
    """The holder does not get it a second time."""
    key = ctx.key()
    ctx.store.lock(key, "me", LOCK_TTL_S)
    ctx.expect(ctx.store.lock(key, "me", LOCK_TTL_S), False, "lock by the holder")
    ctx.expect(ctx.store.unlock(key, "me"), True, "unlock")
    ctx.expect(ctx.store.lock(key, "me", LOCK_TTL_S), True, "lock after unlock")


@backend_case("BLOCK-004", needs=LOCKS)
def locks_end(ctx: BackendContext) -> None:
    """After its TTL a lock is free: no client waits for an owner that died."""
    key, other = ctx.keys(2)
    ctx.store.lock(key, "me", ctx.short_ttl_s)
    ctx.store.lock(other, "me", LOCK_TTL_S)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.unlock(key, "me"), False, "unlock of a lock that has ended")
    ctx.expect(ctx.store.lock(key, "you", LOCK_TTL_S), True, "lock of a lock that has ended")
    ctx.expect(ctx.store.lock(other, "you", LOCK_TTL_S), False, "lock of one that has not")


@backend_case("BLOCK-005", needs=LOCKS)
def the_owner_releases(ctx: BackendContext) -> None:
    """`unlock` by the owner is True, and the lock is free."""
    key = ctx.key()
    ctx.store.lock(key, "me", LOCK_TTL_S)
    ctx.expect(ctx.store.unlock(key, "me"), True, "unlock by the owner")
    ctx.expect(ctx.store.exists(key), False, "exists after unlock")
    ctx.expect(ctx.store.lock(key, "you", LOCK_TTL_S), True, "lock by another after unlock")


@backend_case("BLOCK-006", needs=LOCKS)
def a_lock_that_nobody_holds(ctx: BackendContext) -> None:
    """`unlock` of a free lock is False."""
    key = ctx.key()
    ctx.expect(ctx.store.unlock(key, "me"), False, "unlock of an absent key")
    ctx.store.lock(key, "me", LOCK_TTL_S)
    ctx.store.unlock(key, "me")
    ctx.expect(ctx.store.unlock(key, "me"), False, "unlock for the second time")


@backend_case("BLOCK-007", needs=LOCKS)
def nobody_else_releases(ctx: BackendContext) -> None:
    """`unlock` by another owner, or of what is no lock, is an error and changes nothing."""
    key, plain = ctx.keys(2)
    ctx.store.lock(key, "me", LOCK_TTL_S)
    for owner in ("you", "ME", "me ", "m", "mé"):
        call = partial(ctx.store.unlock, key, owner)
        ctx.expect_error((KvRefusedError,), call, f"unlock by {owner!r} of what 'me' holds")
    _expect_held(ctx, key, "me")
    ctx.store.set(plain, b"me")
    call = partial(ctx.store.unlock, plain, "you")
    ctx.expect_error((KvRefusedError,), call, "unlock of an ordinary key")
    ctx.expect(ctx.store.get(plain), b"me", "get of the ordinary key")


@backend_case("BLOCK-008", needs=LOCKS)
def the_owner_extends(ctx: BackendContext) -> None:
    """extend_lock by the owner counts from now: longer, and shorter."""
    longer, shorter = ctx.keys(2)
    ctx.store.lock(longer, "me", 3 * ctx.short_ttl_s)
    ctx.store.lock(shorter, "me", LOCK_TTL_S)
    ctx.expect(ctx.store.extend_lock(longer, "me", LOCK_TTL_S), True, "extend_lock, longer")
    answer = ctx.store.extend_lock(shorter, "me", ctx.short_ttl_s)
    ctx.expect(answer, True, "extend_lock, shorter")
    ctx.pass_time(2 * ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.lock(longer, "you", LOCK_TTL_S), False, "lock of the one made longer")
    ctx.expect(ctx.store.lock(shorter, "you", LOCK_TTL_S), True, "lock of the one made shorter")


@backend_case("BLOCK-009", needs=LOCKS)
def what_is_not_held_is_not_extended(ctx: BackendContext) -> None:
    """extend_lock of a free lock is False and takes nothing."""
    key = ctx.key()
    ctx.expect(ctx.store.extend_lock(key, "me", LOCK_TTL_S), False, "extend_lock of an absent key")
    ctx.expect(ctx.store.exists(key), False, "exists after it")


@backend_case("BLOCK-010", needs=LOCKS)
def nobody_else_extends(ctx: BackendContext) -> None:
    """extend_lock by another owner is an error, and the lock ends when it would have."""
    key = ctx.key()
    ctx.store.lock(key, "me", ctx.short_ttl_s)

    def extend() -> object:
        return ctx.store.extend_lock(key, "you", LOCK_TTL_S)

    held = ctx.store.exists(key)
    try:
        answer = extend()
    except KvRefusedError:
        pass
    else:
        # A slow machine may find the lock ended: then nothing was extended either.
        ctx.expect((held, answer) == (True, True), False, "extend_lock by another owner succeeds")
        if ctx.clock is not None:
            ctx.expect_error((KvRefusedError,), extend, "extend_lock by another owner")
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.lock(key, "you", LOCK_TTL_S), True, "lock after the TTL of the first")
    ctx.expect_error(
        (KvRefusedError,),
        lambda: ctx.store.extend_lock(key, "me", LOCK_TTL_S),
        "extend_lock of a lock that another owner holds",
    )


@backend_case("BLOCK-011", needs=LOCKS)
def every_lock_has_a_ttl(ctx: BackendContext) -> None:
    """A lock without an end is refused."""
    key, held = ctx.keys(2)
    ctx.store.lock(held, "me", LOCK_TTL_S)
    bad: tuple[tuple[object, type[Exception]], ...] = (
        (None, TypeError), ("5", TypeError), (True, TypeError), (0, ValueError), (-1, ValueError),
        (math.nan, ValueError), (math.inf, ValueError),
    )  # fmt: skip
    for ttl, kind in bad:
        seconds = cast("float", ttl)
        what = f"with a TTL of {ttl!r}"
        ctx.expect_error((kind,), partial(ctx.store.lock, key, "me", seconds), f"lock {what}")
        extend = partial(ctx.store.extend_lock, held, "me", seconds)
        ctx.expect_error((kind,), extend, f"extend_lock {what}")
    ctx.expect(ctx.store.exists(key), False, "exists after refused locks")
    _expect_held(ctx, held, "me")


@backend_case("BLOCK-012", needs=LOCKS)
def owners(ctx: BackendContext) -> None:
    """Names of owners: one letter, any letters, 65,535 bytes."""
    for number, owner in enumerate(("x", "é☃𝄞", " ", "\0", "x" * 65_535, "é" * 32_767)):
        key = ctx.key(str(number))
        ctx.expect(ctx.store.lock(key, owner, LOCK_TTL_S), True, f"lock by {owner!r:.40}")
        _expect_held(ctx, key, owner)
        ctx.expect(ctx.store.unlock(key, owner), True, f"unlock by {owner!r:.40}")


@backend_case("BLOCK-013", needs=LOCKS)
def owners_that_are_refused(ctx: BackendContext) -> None:
    """An owner is a name: text, not empty, not endless."""
    key, held = ctx.keys(2)
    ctx.store.lock(held, "me", LOCK_TTL_S)
    bad: tuple[tuple[object, type[Exception]], ...] = (
        (None, TypeError), (b"me", TypeError), (5, TypeError), ("", ValueError),
        ("x" * 65_536, ValueError), ("é" * 32_768, ValueError), ("\ud800", ValueError),
    )  # fmt: skip
    for given, kind in bad:
        owner = cast("str", given)
        for call in (
            partial(ctx.store.lock, key, owner, LOCK_TTL_S),
            partial(ctx.store.unlock, held, owner),
            partial(ctx.store.extend_lock, held, owner, LOCK_TTL_S),
        ):
            ctx.expect_error((kind,), call, f"{call.func.__name__} by {given!r:.40}")
    ctx.expect(ctx.store.exists(key), False, "exists after refused locks")
    _expect_held(ctx, held, "me")


@backend_case("BLOCK-014", needs=LOCKS)
def held_locks_are_seen(ctx: BackendContext) -> None:
    """`exists` tells whether a lock is held."""
    key = ctx.key()
    ctx.store.lock(key, "me", LOCK_TTL_S)
    ctx.expect(ctx.store.exists(key), True, "exists of a held lock")
    ctx.expect(ctx.store.mexists([key]), [True], "mexists of a held lock")
    ctx.store.unlock(key, "me")
    ctx.expect(ctx.store.exists(key), False, "exists of a released lock")


@backend_case("BLOCK-015", needs=LOCKS)
def one_of_many_gets_the_lock(ctx: BackendContext) -> None:
    """Four users lock at once; one of them gets it, in every round."""
    rounds, users = 30 * ctx.effort, 4
    keys = ctx.keys(rounds)

    def user(number: int) -> Callable[[Backend], list[bool]]:
        return lambda store: [store.lock(key, f"owner {number}", LOCK_TTL_S) for key in keys]

    answers = ctx.concurrently([user(number) for number in range(users)])
    for place, key in enumerate(keys):
        taken = [number for number in range(users) if answers[number][place]]
        ctx.expect(len(taken), 1, f"users who got lock {place}")
        ctx.expect(ctx.store.unlock(key, f"owner {taken[0]}"), True, "unlock by that user")
