"""Batches: the order of answers, repeated and absent keys, counts, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MappingProxyType
from typing import cast

from kvbench.conformance.backend.cases.base import LONG_TTL_S, expect_unchanged
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.guard import NO_TEXT
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import CaseFailed
from kvbench.model import Pairs, Value

MANY = 100_000
"""Keys of a large batch: more than the 65,535 that one request of the wire protocol carries."""


def _stored(ctx: BackendContext, count: int) -> list[str]:
    """So many keys, each stored with a different value by set."""
    keys = ctx.keys(count)
    for number, key in enumerate(keys):
        ctx.store.set(key, ctx.value(number))
    return keys


@backend_case("BMGET-001")
def mget_keeps_the_order(ctx: BackendContext) -> None:
    """The answers are in the order of the keys, not of the store."""
    keys = _stored(ctx, 20)
    ctx.expect(ctx.store.mget(keys[:1]), [ctx.value(0)], "mget of one key")
    for _ in range(5):
        order = ctx.rng.sample(range(len(keys)), len(keys))
        expected = [ctx.value(number) for number in order]
        asked = [keys[number] for number in order]
        ctx.expect(ctx.store.mget(asked), expected, "mget in any order")


@backend_case("BMGET-002")
def mget_of_absent_keys(ctx: BackendContext) -> None:
    """An absent key has its place."""
    keys = _stored(ctx, 3)
    absent = ctx.key("absent")
    ctx.expect(ctx.store.mget([absent]), [None], "mget of an absent key")
    asked = [absent, keys[0], ctx.key("nor"), keys[2], keys[1], ctx.key("none")]
    expected = [None, ctx.value(0), None, ctx.value(2), ctx.value(1), None]
    ctx.expect(ctx.store.mget(asked), expected, "mget with absent keys")


@backend_case("BMGET-003")
def mget_of_repeated_keys(ctx: BackendContext) -> None:
    """A key that is asked for twice is answered twice."""
    first, second = _stored(ctx, 2)
    asked = [first, second, first, first, second]
    expected = [ctx.value(number) for number in (0, 1, 0, 0, 1)]
    ctx.expect(ctx.store.mget(asked), expected, "mget with repeated keys")


@backend_case("BMGET-004")
def mget_changes_nothing(ctx: BackendContext) -> None:
    """Values and TTLs are as before, and absent keys are absent."""
    absent = ctx.key("absent")
    expect_unchanged(ctx, lambda key: ctx.store.mget([key, absent, key]))
    ctx.expect(ctx.store.exists(absent), False, "exists of an absent key after mget")


@backend_case("BMSET-001")
def mset_of_a_mapping(ctx: BackendContext) -> None:
    """Every pair of a dict, or of another mapping, is stored."""
    keys = ctx.keys(20)
    items = {key: ctx.value(number) for number, key in enumerate(keys)}
    ctx.expect(ctx.store.mset(items), None, "mset returns")  # type: ignore[func-returns-value]
    for number, key in enumerate(keys):
        ctx.expect(ctx.store.get(key), ctx.value(number), f"get of key {number} after mset")
    ctx.store.mset(MappingProxyType({keys[0]: ctx.value(99)}))
    ctx.expect(ctx.store.get(keys[0]), ctx.value(99), "get after mset of another mapping")


@backend_case("BMSET-002")
def mset_of_pairs(ctx: BackendContext) -> None:
    """Pairs come from a list, a tuple, an iterator, a generator."""
    keys = ctx.keys(5)
    pairs = [(key, ctx.value(number)) for number, key in enumerate(keys)]

    def generated() -> Iterator[tuple[str, Value]]:
        yield from pairs

    for kind, given in {
        "list": pairs, "tuple": tuple(pairs), "iterator": iter(pairs), "generator": generated(),
        "items": dict(pairs).items(),
    }.items():  # fmt: skip
        for key in keys:
            ctx.store.delete(key)
        ctx.store.mset(cast("Pairs", given))
        expected = [ctx.value(number) for number in range(5)]
        ctx.expect([ctx.store.get(key) for key in keys], expected, f"keys after mset of a {kind}")


@backend_case("BMSET-003")
def mset_with_a_repeated_key(ctx: BackendContext) -> None:
    """The last pair of a key counts, wherever the others are."""
    first, second = ctx.keys(2)
    pairs = [(first, 1), (second, 2), (first, 3), (second, 4), (first, 5)]
    ctx.store.mset([(key, ctx.value(number)) for key, number in pairs])
    ctx.expect(ctx.store.get(first), ctx.value(5), "get of a key that came three times")
    ctx.expect(ctx.store.get(second), ctx.value(4), "get of a key that came twice")


@backend_case("BMSET-004", needs=("ttl",))
def mset_gives_one_ttl(ctx: BackendContext) -> None:
    """Every key gets the TTL of the batch, or loses the one that it had."""
    keys = ctx.keys(3)
    ctx.store.set(keys[0], ctx.value(), 2 * LONG_TTL_S)
    ctx.store.set(keys[1], ctx.value())
    items = {key: ctx.value(number) for number, key in enumerate(keys)}
    ctx.store.mset(dict(items), LONG_TTL_S)
    for key in keys:
        ctx.expect_left(key, LONG_TTL_S, "ttl after mset with a TTL")
    ctx.store.mset(dict(items))
    for key in keys:
        ctx.expect_left(key, None, "ttl after mset without a TTL")


@backend_case("BMSET-004", needs=("ttl",))
def keys_of_an_mset_expire(ctx: BackendContext) -> None:
    """The TTL of a batch ends."""
    keys = ctx.keys(3)
    ctx.store.mset(dict.fromkeys(keys, ctx.value()), ctx.short_ttl_s)
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.mget(keys), [None] * 3, "mget after the TTL of an mset")


@backend_case("BMSET-005")
def mset_of_what_is_no_pair(ctx: BackendContext) -> None:
    """An element that is no pair is refused, and nothing is stored."""
    key = ctx.key()
    for bad in ((key,), (key, ctx.value(), None), NO_TEXT, None):
        pairs = cast("Pairs", [(key, ctx.value()), bad])
        ctx.expect_error((TypeError,), partial(ctx.store.mset, pairs), f"mset of {bad}")
    ctx.expect_error((TypeError,), lambda: ctx.store.mset(cast("Pairs", 5)), "mset of an int")
    ctx.expect(ctx.store.exists(key), False, "exists after a refused mset")


@backend_case("BMSET-006")
def mset_replaces_and_adds(ctx: BackendContext) -> None:
    """Old values go, new keys come, others stay."""
    old, new, other = ctx.keys(3)
    ctx.store.set(old, ctx.value(1))
    ctx.store.set(other, ctx.value(2))
    ctx.store.mset({old: ctx.value(3), new: ctx.value(4)})
    expected = [ctx.value(3), ctx.value(4), ctx.value(2)]
    ctx.expect(ctx.store.mget([old, new, other]), expected, "mget after mset")


@backend_case("BEACH-001", needs=("ttl", "ttl-each"))
def each_entry_has_its_own_ttl(ctx: BackendContext) -> None:
    """Every entry is stored with its own TTL, or none, whatever the key had before."""
    keys = ctx.keys(3)
    ctx.store.set(keys[0], ctx.value(), LONG_TTL_S)
    ttls = (None, LONG_TTL_S, 2 * LONG_TTL_S)
    entries = [(key, ctx.value(number), ttls[number]) for number, key in enumerate(keys)]
    ctx.expect(ctx.store.mset_each(entries), None, "mset_each returns")  # type: ignore[func-returns-value]
    for number, key in enumerate(keys):
        ctx.expect(ctx.store.get(key), ctx.value(number), "get after mset_each")
        ctx.expect_left(key, ttls[number], "ttl after mset_each")


@backend_case("BEACH-001", needs=("ttl", "ttl-each"))
def each_entry_expires_on_its_own(ctx: BackendContext) -> None:
    """An entry's TTL ends while its neighbours stay."""
    brief, long, none = ctx.keys(3)
    ttls = ((brief, ctx.short_ttl_s), (long, LONG_TTL_S), (none, None))
    ctx.store.mset_each([(key, ctx.value(), ttl) for key, ttl in ttls])
    ctx.pass_short_ttl()
    expected = [None, ctx.value(), ctx.value()]
    ctx.expect(ctx.store.mget([brief, long, none]), expected, "mget after the shortest TTL")


@backend_case("BEACH-002", needs=("ttl", "ttl-each"))
def the_last_entry_of_a_key_counts(ctx: BackendContext) -> None:
    """Value and TTL are those of the last entry."""
    first, second = ctx.keys(2)
    entries = [(first, 1, None), (second, 2, LONG_TTL_S), (first, 3, LONG_TTL_S), (second, 4, None)]
    ctx.store.mset_each([(key, ctx.value(number), ttl) for key, number, ttl in entries])
    expected = [ctx.value(3), ctx.value(4)]
    ctx.expect(ctx.store.mget([first, second]), expected, "mget after mset_each")
    ctx.expect_left(first, LONG_TTL_S, "ttl of the first key")
    ctx.expect_left(second, None, "ttl of the second key")


@backend_case("BEACH-003", needs=("ttl-each",))
def entries_of_a_generator(ctx: BackendContext) -> None:
    """Entries come from whatever can be iterated once."""
    keys = ctx.keys(5)
    ctx.store.mset_each((key, ctx.value(number), None) for number, key in enumerate(keys))
    expected = [ctx.value(number) for number in range(5)]
    ctx.expect(ctx.store.mget(keys), expected, "mget after mset_each of a generator")


@backend_case("BMDEL-001")
def mdel_removes_and_counts(ctx: BackendContext) -> None:
    """Every key is gone, others stay, and the count is that of the keys."""
    keys = _stored(ctx, 10)
    ctx.expect(ctx.store.mdel(keys[:7]), 7, "mdel of seven keys")
    expected = [None] * 7 + [ctx.value(number) for number in (7, 8, 9)]
    ctx.expect([ctx.store.get(key) for key in keys], expected, "the ten keys after mdel of seven")


@backend_case("BMDEL-002")
def mdel_does_not_count_absent_keys(ctx: BackendContext) -> None:
    """Absent keys are no error, and not counted."""
    keys = _stored(ctx, 2)
    absent = [ctx.key("a"), ctx.key("b")]
    ctx.expect(ctx.store.mdel(absent), 0, "mdel of absent keys")
    ctx.expect(ctx.store.mdel([absent[0], *keys, absent[1]]), 2, "mdel with absent keys")
    ctx.expect(ctx.store.mdel(keys), 0, "mdel of removed keys")


@backend_case("BMDEL-003")
def mdel_counts_a_repeated_key_once(ctx: BackendContext) -> None:
    """A key can be removed once."""
    first, second = _stored(ctx, 2)
    asked = [first, first, second, first, second]
    ctx.expect(ctx.store.mdel(asked), 2, "mdel with repeated keys")
    ctx.expect(ctx.store.mget([first, second]), [None, None], "mget after mdel")


@backend_case("BMEXISTS-001")
def mexists_tells_in_order(ctx: BackendContext) -> None:
    """True or False for each key in its place."""
    keys = _stored(ctx, 3)
    absent = ctx.key("absent")
    asked = [absent, keys[2], keys[0], ctx.key("none"), keys[1]]
    ctx.expect(ctx.store.mexists(asked), [False, True, True, False, True], "mexists")


@backend_case("BMEXISTS-002")
def mexists_of_repeated_keys(ctx: BackendContext) -> None:
    """A key that is asked for twice is answered twice."""
    (key,) = _stored(ctx, 1)
    absent = ctx.key("absent")
    asked = [key, absent, key, absent, key]
    ctx.expect(ctx.store.mexists(asked), [True, False, True, False, True], "mexists")


@backend_case("BMEXISTS-003", needs=("typed-values",))
def mexists_of_none(ctx: BackendContext) -> None:
    """A key that holds None is there."""
    key, absent = ctx.keys(2)
    ctx.store.set(key, None)
    ctx.expect(ctx.store.mget([key, absent]), [None, None], "mget of None and of an absent key")
    ctx.expect(ctx.store.mexists([key, absent]), [True, False], "mexists of the same")
    ctx.expect(ctx.store.mdel([key, absent]), 1, "mdel of the same")


@backend_case("BBATCH-001")
def batches_of_nothing(ctx: BackendContext) -> None:
    """Nothing in, nothing out, no error."""
    ctx.expect(ctx.store.mget([]), [], "mget of nothing")
    ctx.expect(ctx.store.mexists([]), [], "mexists of nothing")
    ctx.expect(ctx.store.mdel([]), 0, "mdel of nothing")
    ctx.store.mset({})
    ctx.store.mset([])
    if "ttl-each" in ctx.capabilities:
        ctx.store.mset_each([])


@backend_case("BBATCH-002", after=("BMSET-001", "BMGET-001", "BMDEL-001"))
def a_hundred_thousand_keys(ctx: BackendContext) -> None:
    """A large batch means the same as a small one."""
    keys = [f"{ctx.key('many')}:{number}" for number in range(MANY)]
    try:
        items = {key: ctx.value(number) for number, key in enumerate(keys)}
        ctx.store.mset(items, ctx.net_ttl_s)
        found = ctx.store.mget(keys)
        wrong = [number for number in range(MANY) if found[number] != ctx.value(number)]
        if len(found) != MANY or wrong:
            raise CaseFailed(f"{MANY} values in order", f"{len(found)}, wrong at {wrong[:5]}")
        ctx.expect(sum(ctx.store.mexists(keys)), MANY, "keys of which mexists says True")
    finally:
        removed = ctx.store.mdel(keys)
    ctx.expect(removed, MANY, "mdel of all of them")
    ctx.expect(ctx.store.mget(keys[-2:]), [None, None], "mget of the last two after mdel")


@backend_case("BBATCH-003", after=(*BACKEND.base, "BKEY-002", "BKEY-003", "BVAL-003"))
def refused_batches_are_not_applied_in_part(ctx: BackendContext) -> None:
    """One bad key, value or TTL, in any place, means that nothing is stored."""
    kept, new = ctx.key("kept"), ctx.key("new")
    ctx.store.set(kept, ctx.value())
    long = ctx.prefix + "x" * 257
    good: list[tuple[str, object]] = [(kept, ctx.value(1)), (new, ctx.value(2))]
    for bad in ((ctx.key("bad"), object()), ("", ctx.value()), (long, ctx.value())):
        for place in range(3):
            pairs = cast("list[tuple[str, Value]]", [*good[:place], bad, *good[place:]])
            entries = [(key, value, None) for key, value in pairs]
            calls = [partial(ctx.store.mset, pairs), partial(ctx.store.mset, dict(pairs))]
            if "ttl-each" in ctx.capabilities:
                calls.append(partial(ctx.store.mset_each, entries))
            for call in calls:
                what = f"{call.func.__name__} with a bad entry in place {place}"
                ctx.expect_error((TypeError, ValueError), call, what)
            ctx.expect(ctx.store.mget([kept, new]), [ctx.value(), None], "mget after a refusal")


@backend_case("BBATCH-003", needs=("ttl-each",))
def refused_ttls_are_not_applied_in_part(ctx: BackendContext) -> None:
    """One bad TTL among entries means that nothing is stored."""
    keys = ctx.keys(3)
    for place in range(3):
        entries = [(key, ctx.value(), -1.0 if n == place else None) for n, key in enumerate(keys)]
        what = f"mset_each with a bad TTL in place {place}"
        ctx.expect_error((ValueError,), partial(ctx.store.mset_each, entries), what)
        ctx.expect(ctx.store.mexists(keys), [False] * 3, "mexists after a refusal")


@backend_case("BBATCH-004")
def batches_leave_their_arguments_alone(ctx: BackendContext) -> None:
    """The caller's list and dict are as before."""
    keys = [*ctx.keys(3), ctx.key("absent")]
    items = {key: ctx.value(number) for number, key in enumerate(keys[:3])}
    given_keys, given_items = list(keys), dict(items)
    ctx.store.mset(given_items)
    ctx.store.mget(given_keys)
    ctx.store.mexists(given_keys)
    ctx.store.mdel(given_keys)
    ctx.expect(given_keys, keys, "the list of keys")
    ctx.expect(given_items, items, "the mapping of mset")


@backend_case("BBATCH-005")
def keys_in_any_sequence(ctx: BackendContext) -> None:
    """A tuple of keys is as good as a list."""
    keys = tuple(_stored(ctx, 3))
    expected = [ctx.value(number) for number in range(3)]
    ctx.expect(ctx.store.mget(keys), expected, "mget of a tuple")
    ctx.expect(ctx.store.mexists(keys), [True] * 3, "mexists of a tuple")
    ctx.expect(ctx.store.mdel(keys), 3, "mdel of a tuple")
