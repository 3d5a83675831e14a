"""Keys: which are accepted, which are refused, and that each is itself and no other."""

from __future__ import annotations

from functools import partial

from kvbench.conformance.backend.calls import expect_refused, with_key
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.guard import NO_LIST, NO_TEXT
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.model import KEY_BYTES_MAX

ALIKE = (
    "Key", "key", " key", "key ", "key\t", "key\n", "key\0", "é", "e\u0301", "\u212b",
    "\u00c5", "A\u030a", "ﬁ", "fi", "ß", "ss", "key:", "key/", "/key", "01", "1", "1.0", "١",
)  # fmt: skip
"""Keys that folding, normalising, trimming, or a look as a number would mix up."""

UNUSUAL = (
    "\0", "a", "a\0b", "a\0c", "\x01\x1f\x7f", " ", "two words", "tab\there", "line\nbreak", "\r\n",
    "a/b/c", ":::", "*", "?[a-z]", "%s%n", "'\"\\;--", "{tag}", "é", "☃", "𝄞", "\U0010ffff",
    "\ufeff", "\u202e", "\ufffe", "-1", "None", "日本語",
)  # fmt: skip


def _sized(ctx: BackendContext, size: int, letter: str) -> str:
    """A key of this case with ``size`` bytes of UTF-8, filled up with ``letter``."""
    start = ctx.key("")
    wide = len(letter.encode())
    count, rest = divmod(size - len(start), wide)
    return ctx.key(letter * count + "." * rest)


@backend_case("BKEY-001")
def short_and_long_keys(ctx: BackendContext) -> None:
    """Keys up to 256 bytes work in every operation; what is last of them counts."""
    longest = [_sized(ctx, KEY_BYTES_MAX, letter) for letter in ("x", "é", "☃", "𝄞")]
    twin = longest[0][:-1] + "y"
    for number, key in enumerate([*longest, ctx.own(twin)]):
        ctx.store.set(key, ctx.value(number))
    for number, key in enumerate([*longest, twin]):
        ctx.expect(ctx.store.get(key), ctx.value(number), f"get of long key {number}")
    for key in longest:
        for call in with_key(ctx, key).values():
            ctx.store.delete(key)
            call()
        ctx.store.delete(ctx.key("beside"))


@backend_case("BKEY-001")
def keys_of_one_byte(ctx: BackendContext) -> None:
    """Keys of one byte are read, which touches nothing of a live store's."""
    for key in ("k", "0", "~"):
        ctx.store.get(key)
        ctx.expect(ctx.store.mexists([key]), [ctx.store.exists(key)], f"mexists of {key!r}")


@backend_case("BKEY-002")
def empty_key(ctx: BackendContext) -> None:
    """The empty key is refused by every operation."""
    expect_refused(ctx, ValueError, with_key(ctx, ""), "")


@backend_case("BKEY-003")
def keys_that_are_too_long(ctx: BackendContext) -> None:
    """257 bytes are refused by every operation, in whatever letters, and not cut short."""
    for letter in ("x", "é", "𝄞"):
        fits = _sized(ctx, KEY_BYTES_MAX, letter)
        key = fits + "."
        expect_refused(ctx, ValueError, with_key(ctx, key), key)
        try:
            ctx.expect(ctx.store.exists(fits), False, "exists of the key, cut to 256 bytes")
        except ValueError:
            continue  # Keys of 256 bytes are refused as well: BKEY-001 tells that.
    expect_refused(ctx, ValueError, with_key(ctx, ctx.key("x" * 70_000)), "70,000 letters")


@backend_case("BKEY-004")
def keys_with_lone_surrogates(ctx: BackendContext) -> None:
    """What is not valid Unicode is refused by every operation."""
    for name in ("\ud800", "a\udfffb", "\udc00\ud800"):
        expect_refused(ctx, ValueError, with_key(ctx, ctx.prefix + name), name)


@backend_case("BKEY-005")
def keys_of_other_types(ctx: BackendContext) -> None:
    """What is no str is refused by every operation."""
    for key in (ctx.prefix.encode(), None, NO_TEXT, True, (ctx.prefix,)):
        expect_refused(ctx, TypeError, with_key(ctx, key), key)


@backend_case("BKEY-006")
def alike_is_not_equal(ctx: BackendContext) -> None:
    """Keys that look alike, or that a store might take for one, are different keys."""
    keys: list[str] = []
    for name in ALIKE:
        try:
            ctx.store.set(ctx.key(name), ctx.value(len(keys)))
        except ValueError:
            continue  # Keys that are refused cannot be mixed up: BKEY-007 tells of them.
        keys.append(ctx.key(name))
    for number, key in enumerate(keys):
        ctx.expect(ctx.store.get(key), ctx.value(number), f"get of {key!r}")
    expected = [ctx.value(number) for number in range(len(keys))]
    ctx.expect(ctx.store.mget(keys), expected, "mget of keys that look alike")
    ctx.expect(ctx.store.mdel(keys[1:]), len(keys) - 1, "mdel of all but the first")
    ctx.expect(ctx.store.get(keys[0]), ctx.value(0), "get of the first")


@backend_case("BKEY-007")
def every_character(ctx: BackendContext) -> None:
    """Control characters, separators, patterns and far planes are ordinary in a key."""
    keys = [ctx.key(name) for name in UNUSUAL]
    for number, key in enumerate(keys):
        ctx.store.set(key, ctx.value(number))
        ctx.expect(ctx.store.get(key), ctx.value(number), f"get of {UNUSUAL[number]!r}")
    expected = [ctx.value(number) for number in range(len(keys))]
    ctx.expect(ctx.store.mget(keys), expected, "mget of unusual keys")
    ctx.expect(ctx.store.mexists(keys), [True] * len(keys), "mexists of unusual keys")
    ctx.expect(ctx.store.mdel(keys), len(keys), "mdel of unusual keys")
    ctx.store.mset([(key, ctx.value()) for key in keys])
    ctx.expect(ctx.store.mget(keys), [ctx.value()] * len(keys), "mget after mset")


@backend_case("BKEY-008")
def one_text_is_no_list_of_keys(ctx: BackendContext) -> None:
    """A str or bytes in the place of several keys is refused."""
    for keys in (NO_LIST, NO_LIST.encode(), ""):
        for operation in ("mget", "mdel", "mexists"):
            call = partial(getattr(ctx.store, operation), keys)
            ctx.expect_error((TypeError,), call, f"{operation} of {keys!r}")


@backend_case("BKEY-009", after=(*BACKEND.base, "BKEY-002", "BKEY-003", "BKEY-004"))
def one_bad_key_spoils_a_batch(ctx: BackendContext) -> None:
    """A batch with one bad key is refused whole: nothing is stored or removed."""
    kept, new = ctx.key("kept"), ctx.key("new")
    ctx.store.set(kept, ctx.value())
    for bad in ("", ctx.prefix + "x" * 257, ctx.prefix + "\ud800"):
        keys = [kept, bad, new]
        pairs = [(new, ctx.value(1)), (kept, ctx.value(1)), (bad, ctx.value(1))]
        for call in (
            partial(ctx.store.mget, keys),
            partial(ctx.store.mexists, keys),
            partial(ctx.store.mdel, keys),
            partial(ctx.store.mset, pairs),
        ):
            ctx.expect_error((ValueError,), call, f"{call.func.__name__} with a bad key")
        ctx.expect(ctx.store.get(kept), ctx.value(), "get of a good key of the batch")
        ctx.expect(ctx.store.exists(new), False, "exists of a new key of the batch")


@backend_case("BKEY-010", after=(*BACKEND.base, "BKEY-006"))
def neighbours_are_left_alone(ctx: BackendContext) -> None:
    """Writing and deleting a key touches no key that begins like it or with it."""
    around = [ctx.key(name) for name in ("", "k", "k1", "k:1", "k*", "K", "1k", "kk")]
    target = ctx.key("k:")
    for number, key in enumerate(around):
        ctx.store.set(key, ctx.value(number))
    ctx.store.set(target, ctx.value(99))
    ctx.store.delete(target)
    ctx.store.mset({target: ctx.value(98)})
    ctx.store.mdel([target, ctx.key("k?")])
    expected = [ctx.value(number) for number in range(len(around))]
    ctx.expect([ctx.store.get(key) for key in around], expected, "the keys around it")
