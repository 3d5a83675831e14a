"""TTLs: when keys end, what is accepted, what ttl and expire answer.

Where the store runs on a ManualClock, time is exact. On a live store a key's end is watched: from
the moments before and after each call follows what is certain. An end is early only if even the
latest possible start makes it so, and late only if even the earliest does; a slow machine makes a
finding impossible, never wrong.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from kvbench.conformance.backend.calls import expect_refused, with_ttl
from kvbench.conformance.backend.cases.base import LONG_TTL_S
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import CaseFailed
from kvbench.model import TTL_SECONDS_MAX

TTL = ("ttl",)
POLL_S = 0.001
LATE_SLACK_S = 0.1
"""What a store gets beyond its tick before an end counts as late: it has to be scheduled."""
MS = 0.001


@dataclass(frozen=True, slots=True)
class Life:
    """How long a key was there, in seconds: as bounds, for calls take time.

    Attributes:
        longest: from before the call that stored it to the end of the first miss.
        latest: from after the call that stored it to the beginning of the last sight.
    """

    longest: float
    latest: float


def _watch(ctx: BackendContext, key: str, give: Callable[[], object], until_s: float) -> Life:
    """Give a key a TTL and read it until it is gone, or well past its TTL."""
    before = time.monotonic()
    give()
    after = time.monotonic()
    latest = 0.0
    while True:
        asked = time.monotonic()
        gone = ctx.store.get(key) is None
        answered = time.monotonic()
        if gone:
            return Life(answered - before, latest)
        latest = asked - after
        if latest > until_s:
            return Life(math.inf, latest)
        time.sleep(POLL_S)


def _set(ctx: BackendContext, key: str, ttl: float) -> Callable[[], object]:
    return lambda: ctx.store.set(key, ctx.value(), ttl)


@backend_case("BTTL-018", needs=TTL, after=())
def the_tick_is_declared(ctx: BackendContext) -> None:
    """ttl_resolution_s is a number that time can be counted in."""
    tick = ctx.store.ttl_resolution_s
    is_number = isinstance(tick, int | float) and not isinstance(tick, bool)
    if not is_number or not math.isfinite(tick) or tick <= 0:
        raise CaseFailed("ttl_resolution_s is a positive, finite number of seconds", repr(tick))


@backend_case("BTTL-001", needs=TTL)
def keys_end(ctx: BackendContext) -> None:
    """A key is gone when its TTL and a tick have passed."""
    key, ttl = ctx.key(), ctx.short_ttl_s
    limit = ctx.latest_s(ttl)
    if ctx.clock is not None:
        ctx.store.set(key, ctx.value(), ttl)
        ctx.pass_time(limit)
        ctx.expect(ctx.store.get(key), None, f"get {limit:g} s after a TTL of {ttl:g} s")
        return
    life = _watch(ctx, key, _set(ctx, key, ttl), limit + LATE_SLACK_S)
    if life.latest > limit + LATE_SLACK_S:
        raise CaseFailed(f"a key with a TTL of {ttl:g} s ends", f"there after {life.latest:.3f} s")


@backend_case("BTTL-002", needs=TTL)
def keys_do_not_end_early(ctx: BackendContext) -> None:
    """A key is there until its TTL has passed, but for the last millisecond."""
    key, ttl = ctx.key(), ctx.short_ttl_s
    if ctx.clock is not None:
        ctx.store.set(key, ctx.value(), ttl)
        ctx.pass_time(ttl - MS)
        ctx.expect(ctx.store.get(key), ctx.value(), "get a millisecond before the end")
        return
    life = _watch(ctx, key, _set(ctx, key, ttl), ctx.latest_s(ttl) + LATE_SLACK_S)
    if life.longest < ttl - MS:
        raise CaseFailed(f"a key with a TTL of {ttl:g} s", f"gone after {life.longest:.4f} s")


@backend_case("BTTL-019", needs=TTL)
def keys_end_within_a_second(ctx: BackendContext) -> None:
    """Coarse ticks apart, no case waits long for the end."""
    key, ttl = ctx.key(), ctx.short_ttl_s
    if ctx.clock is not None:
        ctx.store.set(key, ctx.value(), ttl)
        ctx.pass_time(ttl + 1)
        ctx.expect(ctx.store.get(key), None, "get a second after the end")
        return
    limit = ttl + 1 + LATE_SLACK_S
    life = _watch(ctx, key, _set(ctx, key, ttl), limit)
    if life.latest > limit:
        raise CaseFailed(f"a key with a TTL of {ttl:g} s ends", f"there after {life.latest:.3f} s")


@backend_case("BTTL-003", needs=TTL)
def ints_and_floats(ctx: BackendContext) -> None:
    """Whole and fractional seconds, as int and as float."""
    key = ctx.key()
    for ttl in (1000, 1000.0, 1000.5, 100, 99.9994):
        ctx.store.set(key, ctx.value(), ttl)
        before = time.monotonic()
        ctx.store.set(key, ctx.value(), ttl)
        left = ctx.store.ttl(key)
        spent = time.monotonic() - before
        # Half a millisecond may go in rounding the TTL, a whole one in telling what is left.
        if left is None or not ttl - 1.5 * MS - spent <= left <= ctx.latest_s(ttl):
            raise CaseFailed(f"ttl after set with {ttl!r}: {ttl!r}, less {spent:.3f} s", repr(left))


@backend_case("BTTL-004", needs=TTL, after=(*BACKEND.base, "BTTL-018"))
def the_shortest_ttl(ctx: BackendContext) -> None:
    """A nanosecond is a TTL: the key ends, and is not there for ever."""
    keys = ctx.keys(3)
    for key, ttl in zip(keys, (1e-9, 0.0004, ctx.tick_s / 2), strict=True):
        ctx.store.set(key, ctx.value(), ttl)
        if ctx.clock is not None:
            ctx.expect(ctx.store.get(key), ctx.value(), f"get at once, with a TTL of {ttl:g} s")
    ctx.pass_time(2 * ctx.tick_s + (0 if ctx.clock is not None else LATE_SLACK_S))
    ctx.expect(ctx.store.mget(keys), [None] * 3, "mget after two ticks")


@backend_case("BTTL-005", needs=TTL)
def keys_without_a_ttl_stay(ctx: BackendContext) -> None:
    """None is no TTL, whatever else expires."""
    stays, ends = ctx.keys(2)
    ctx.store.set(stays, ctx.value(), None)
    ctx.store.set(ends, ctx.value(), ctx.short_ttl_s)
    ctx.pass_short_ttl()
    if ctx.clock is not None:
        ctx.pass_time(20 * TTL_SECONDS_MAX)
    ctx.expect(ctx.store.mget([stays, ends]), [ctx.value(), None], "mget after another key's TTL")


@backend_case("BTTL-006", needs=TTL, after=(*BACKEND.base, "BSET-004"))
def ttls_that_cannot_be(ctx: BackendContext) -> None:
    """Zero, negative, NaN and infinite TTLs are refused by every operation."""
    _expect_refused_ttls(ctx, (0, 0.0, -0.0, -1, -0.001, math.nan, math.inf, -math.inf), ValueError)


@backend_case("BTTL-007", needs=TTL, after=(*BACKEND.base, "BSET-004"))
def ttls_that_are_no_numbers(ctx: BackendContext) -> None:
    """A TTL of another type is refused by every operation."""
    _expect_refused_ttls(ctx, ("5", b"5", True, [5], object()), TypeError)


def _expect_refused_ttls(
    ctx: BackendContext, ttls: tuple[object, ...], kind: type[Exception]
) -> None:
    key = ctx.key()
    ctx.store.set(key, ctx.value(), LONG_TTL_S)
    for ttl in ttls:
        expect_refused(ctx, kind, with_ttl(ctx, key, ttl), ttl)
        absent = ctx.key("absent")
        expect_refused(ctx, kind, with_ttl(ctx, absent, ttl), ttl)
        ctx.expect(ctx.store.exists(absent), False, f"exists after a TTL of {ttl!r}")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after refused TTLs")
    ctx.expect_left(key, LONG_TTL_S, "ttl after refused TTLs")


@backend_case("BTTL-008", needs=TTL)
def ten_years(ctx: BackendContext) -> None:
    """Weeks, months and ten years are kept, not cut and not taken for a date."""
    key = ctx.key()
    for days in (29, 31, 49.8, 60, 365, 3650, TTL_SECONDS_MAX / 86_400):
        ttl = days * 86_400
        for operation, call in with_ttl(ctx, key, ttl).items():
            ctx.store.set(key, ctx.value())
            if operation == "setnx":
                ctx.store.delete(key)
            call()
            ctx.expect_left(key, ttl, f"ttl after {operation} with {days:g} days")
            ctx.expect(ctx.store.exists(key), True, f"exists after {operation}, {days:g} days")


@backend_case("BTTL-009", needs=TTL, after=(*BACKEND.base, "BSET-004"))
def longer_than_ten_years(ctx: BackendContext) -> None:
    """A TTL that is too long is refused, or kept as it is."""
    key = ctx.key()
    for years in (11, 68.1, 136.2, 1e3, 1e6, 1e9, 1e300):
        ttl = years * 365.25 * 86_400
        ctx.store.set(key, ctx.value())
        try:
            ctx.store.set(key, ctx.value(1), ttl)
        except ValueError:
            ctx.expect(ctx.store.get(key), ctx.value(), f"get after {years:g} years were refused")
            continue
        left = ctx.store.ttl(key)
        if left is None or (left != -1 and left < ttl * 0.999):
            raise CaseFailed(f"{years:g} years are kept or refused", f"ttl answers {left!r} s")


@backend_case("BTTL-010", needs=TTL)
def expired_keys_are_absent(ctx: BackendContext) -> None:
    """No operation sees, counts or removes a key that has expired."""
    keys, stays = ctx.keys(8), ctx.key("stays")
    for key in keys:
        ctx.store.set(key, ctx.value(), ctx.short_ttl_s)
    ctx.store.set(stays, ctx.value())
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.delete(keys[0]), False, "delete of an expired key")
    ctx.expect(ctx.store.exists(keys[1]), False, "exists of an expired key")
    ctx.expect(ctx.store.get(keys[2]), None, "get of an expired key")
    ctx.expect(ctx.store.ttl(keys[3]), None, "ttl of an expired key")
    ctx.expect(ctx.store.expire(keys[4], LONG_TTL_S), False, "expire of an expired key")
    ctx.expect(ctx.store.get(keys[4]), None, "get after expire of an expired key")
    ctx.expect(ctx.store.mexists([keys[5], stays]), [False, True], "mexists of an expired key")
    ctx.expect(ctx.store.mget([keys[6], stays]), [None, ctx.value()], "mget of an expired key")
    ctx.expect(ctx.store.mdel([*keys, stays]), 1, "mdel of eight expired keys and one other")


@backend_case("BTTL-011", needs=TTL, after=(*BACKEND.base, "BTTL-001", "BTTL-002"))
def ttl_answers_what_is_left(ctx: BackendContext) -> None:
    """`ttl` is a float that goes down, never above what was given, never zero."""
    key, given = ctx.key(), 10 * ctx.short_ttl_s
    ctx.store.set(key, ctx.value(), given)
    at_first = ctx.store.ttl(key)
    ctx.expect(type(at_first), float, "type of what ttl answers")
    assert at_first is not None
    if not 0 < at_first <= ctx.latest_s(given):
        raise CaseFailed(f"more than 0 s, at most {given:g} s", repr(at_first))
    ctx.pass_short_ttl()
    later = ctx.store.ttl(key)
    passed = ctx.short_ttl_s
    if later is None or not 0 < later <= ctx.latest_s(given - passed):
        raise CaseFailed(f"ttl {passed:g} s later: {passed:g} s less than {given:g}", repr(later))


@backend_case("BTTL-012", needs=TTL)
def ttl_of_keys_without_one(ctx: BackendContext) -> None:
    """A key without a TTL is -1."""
    key = ctx.key()
    ctx.store.set(key, ctx.value())
    ctx.expect_left(key, None, "ttl of a key without a TTL")


@backend_case("BTTL-013", needs=TTL)
def ttl_of_absent_keys(ctx: BackendContext) -> None:
    """An absent key is None, also one that was deleted."""
    key = ctx.key()
    ctx.expect(ctx.store.ttl(key), None, "ttl of an absent key")
    ctx.store.set(key, ctx.value())
    ctx.store.delete(key)
    ctx.expect(ctx.store.ttl(key), None, "ttl of a deleted key")


@backend_case("BTTL-014", needs=TTL)
def ttl_changes_nothing(ctx: BackendContext) -> None:
    """Asking does not renew."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), ctx.short_ttl_s)
    for _ in range(3):
        ctx.store.ttl(key)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.get(key), None, "get after the TTL of a key that was asked about")


@backend_case("BTTL-015", needs=TTL)
def expire_gives_a_ttl(ctx: BackendContext) -> None:
    """A new TTL for a key that has none, a shorter or a longer one; the value stays."""
    key = ctx.key()
    ctx.store.set(key, ctx.value())
    for ttl in (LONG_TTL_S, 2 * LONG_TTL_S, LONG_TTL_S / 2):
        ctx.expect(ctx.store.expire(key, ttl), True, f"expire with {ttl:g} s")
        ctx.expect_left(key, ttl, "ttl after expire")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after expire")
    ctx.store.expire(key, ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.get(key), None, "get after the TTL that expire gave")


@backend_case("BTTL-015", needs=TTL)
def expire_keeps_a_key_longer(ctx: BackendContext) -> None:
    """After expire the earlier, shorter TTL is void."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), 2 * ctx.short_ttl_s)
    ctx.expect(ctx.store.expire(key, LONG_TTL_S), True, "expire of a key that is there")
    ctx.pass_time(ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.get(key), ctx.value(), "get after the earlier TTL")
    ctx.expect_left(key, LONG_TTL_S, "ttl after the earlier TTL")


@backend_case("BTTL-016", needs=TTL)
def expire_of_an_absent_key(ctx: BackendContext) -> None:
    """`expire` stores nothing."""
    key = ctx.key()
    for ttl in (LONG_TTL_S, None):
        ctx.expect(ctx.store.expire(key, ttl), False, "expire of an absent key")
        ctx.expect(ctx.store.exists(key), False, "exists after expire of an absent key")


@backend_case("BTTL-017", needs=TTL)
def expire_with_none(ctx: BackendContext) -> None:
    """None removes a TTL, and is True also for a key that has none."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), ctx.short_ttl_s * 4)
    for _ in range(2):
        ctx.expect(ctx.store.expire(key, None), True, "expire with None")
        ctx.expect_left(key, None, "ttl after expire with None")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after expire with None")
