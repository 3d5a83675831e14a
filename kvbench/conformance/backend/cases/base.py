"""One key: set, get, delete, exists. What every other case stands on comes first."""

from __future__ import annotations

from collections.abc import Callable

from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import backend_case
from kvbench.conformance.findings import CaseFailed
from kvbench.model import Value

LONG_TTL_S = 1000.0
"""A TTL that no case outlives."""


@backend_case("BSET-001", "BGET-001", after=())
def set_then_get(ctx: BackendContext) -> None:
    """A value that is stored is read back."""
    key = ctx.key()
    ctx.expect(ctx.store.set(key, ctx.value()), None, "set returns")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after set")


@backend_case("BGET-002", after=())
def get_absent(ctx: BackendContext) -> None:
    """A key that was never stored is None."""
    ctx.expect(ctx.store.get(ctx.key("never")), None, "get of an absent key")


@backend_case("BEXISTS-001")
def exists_tells(ctx: BackendContext) -> None:
    """`exists` is True for a key that is there, False for others, also when the value is empty."""
    key = ctx.key()
    ctx.expect(ctx.store.exists(key), False, "exists of an absent key")
    ctx.store.set(key, b"")
    ctx.expect(ctx.store.exists(key), True, "exists of a key with an empty value")


@backend_case("BGET-003")
def get_changes_nothing(ctx: BackendContext) -> None:
    """`get` leaves value and TTL as they are."""
    expect_unchanged(ctx, ctx.store.get)


@backend_case("BEXISTS-003")
def exists_changes_nothing(ctx: BackendContext) -> None:
    """`exists` leaves value and TTL as they are."""
    expect_unchanged(ctx, ctx.store.exists)


def expect_unchanged(ctx: BackendContext, read: Callable[[str], object]) -> None:
    """Fail unless keys with and without a TTL are after reading as they were before."""
    limited, endless = ctx.keys(2)
    ctx.store.set(limited, ctx.value(), LONG_TTL_S if ctx.has_ttl else None)
    ctx.store.set(endless, ctx.value(1))
    before = [ctx.store.ttl(key) for key in (limited, endless)] if ctx.has_ttl else []
    for key in (limited, endless, limited, endless):
        read(key)
    # Compared with what was there, and not with what was given: this is not about giving TTLs.
    for key, left in zip((limited, endless), before, strict=False):
        after = ctx.store.ttl(key)
        if after != left and (after is None or left is None or -1 in (after, left) or after > left):
            raise CaseFailed(f"the ttl as before reading, {left!r} s or less", f"{after!r} s")
    ctx.expect(ctx.store.get(limited), ctx.value(), "get after reading")
    ctx.expect(ctx.store.get(endless), ctx.value(1), "get after reading a key without a TTL")


@backend_case("BSET-005")
def keys_do_not_share_values(ctx: BackendContext) -> None:
    """Many keys, each with its own value, are all read back later."""
    keys = ctx.keys(100)
    for number, key in enumerate(keys):
        ctx.store.set(key, ctx.value(number), ctx.net_ttl_s)
    for number, key in enumerate(keys):
        ctx.expect(ctx.store.get(key), ctx.value(number), f"get of key {number}")


@backend_case("BSET-002")
def set_replaces(ctx: BackendContext) -> None:
    """A second set replaces the value: longer, shorter, empty, long again."""
    key = ctx.key()
    for value in (b"first", b"x" * 10_000, b"", b"short", b"x" * 200_000, b"end"):
        ctx.store.set(key, value)
        ctx.expect(ctx.store.get(key), value, f"get after set of {len(value)} bytes")


@backend_case("BSET-002", needs=("typed-values",))
def set_replaces_any_type(ctx: BackendContext) -> None:
    """A value of another type replaces the old one."""
    key = ctx.key()
    values: tuple[Value, ...] = (1, "text", None, [1, [2]], {"a": 1}, 2.5, b"bytes")
    for value in values:
        ctx.store.set(key, value)
        ctx.expect(ctx.store.get(key), value, "get after set of another type")


@backend_case("BSET-003", needs=("ttl",))
def set_replaces_the_ttl(ctx: BackendContext) -> None:
    """A set with another TTL, or with none, replaces the one that was there."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), LONG_TTL_S)
    ctx.store.set(key, ctx.value(), 2 * LONG_TTL_S)
    ctx.expect_left(key, 2 * LONG_TTL_S, "ttl after set with another one")
    ctx.store.set(key, ctx.value())
    ctx.expect_left(key, None, "ttl after set without one")


@backend_case("BSET-004")
def refused_set_changes_nothing(ctx: BackendContext) -> None:
    """A set with a bad value or TTL leaves value and TTL in place."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), LONG_TTL_S if ctx.has_ttl else None)
    refused = object()
    ctx.expect_error((TypeError,), lambda: ctx.store.set(key, refused), "set of an object")  # type: ignore[arg-type]
    ctx.expect(ctx.store.get(key), ctx.value(), "get after a refused set")
    if ctx.has_ttl:
        ctx.expect_error((ValueError,), lambda: ctx.store.set(key, ctx.value(1), -1), "ttl -1")
        ctx.expect(ctx.store.get(key), ctx.value(), "get after a refused TTL")
        ctx.expect_left(key, LONG_TTL_S, "ttl after refused sets")


@backend_case("BDEL-001")
def delete_removes(ctx: BackendContext) -> None:
    """`delete` of a key that is there is True, and the key is gone."""
    key = ctx.key()
    ctx.store.set(key, ctx.value())
    ctx.expect(ctx.store.delete(key), True, "delete of a key that is there")
    ctx.expect(ctx.store.get(key), None, "get after delete")
    ctx.expect(ctx.store.exists(key), False, "exists after delete")


@backend_case("BDEL-002")
def delete_absent(ctx: BackendContext) -> None:
    """`delete` of a key that is not there, or not any more, is False."""
    key = ctx.key()
    ctx.expect(ctx.store.delete(key), False, "delete of a key that never was")
    ctx.store.set(key, ctx.value())
    ctx.store.delete(key)
    ctx.expect(ctx.store.delete(key), False, "delete of a deleted key")


@backend_case("BDEL-003", needs=("ttl",))
def delete_takes_the_ttl_along(ctx: BackendContext) -> None:
    """A key that is stored again has no TTL from before."""
    key = ctx.key()
    ctx.store.set(key, ctx.value(), ctx.short_ttl_s)
    ctx.store.delete(key)
    ctx.store.set(key, ctx.value(1))
    ctx.expect_left(key, None, "ttl of a key that was deleted and stored again")
    ctx.pass_short_ttl()
    ctx.expect(ctx.store.get(key), ctx.value(1), "get after the earlier TTL")


@backend_case("BEXISTS-002", needs=("typed-values",))
def exists_tells_none_from_absence(ctx: BackendContext) -> None:
    """A key that holds None is there."""
    key = ctx.key()
    ctx.store.set(key, None)
    ctx.expect(ctx.store.exists(key), True, "exists of a key that holds None")
    ctx.expect(ctx.store.delete(key), True, "delete of a key that holds None")
    ctx.expect(ctx.store.exists(key), False, "exists after delete")
