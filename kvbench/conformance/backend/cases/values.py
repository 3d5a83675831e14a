"""Values: what a store holds comes back as it was, what it does not hold is refused by name."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import cast

from kvbench.conformance.backend.calls import expect_refused, with_value
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import CaseFailed
from kvbench.model import I64_MAX, I64_MIN, Capability, Value

VALUE_BYTES = 1_000_000
TYPED = ("typed-values",)

BYTES = (
    b"", b"\0", b"\xff\xfe", b"text", b"1", b"-1.5", b"true", b"None", b"\r\n", b"END\r\n",
    bytes(range(256)), "é☃𝄞".encode(), b"\x80\x04N.", b"[1]", b" padded ",
)  # fmt: skip

FLOATS = (
    0.0, -0.0, 1.0, -1.5, 0.1, 1e-310, 5e-324, 1.7976931348623157e308, math.pi, 2.0**53 + 2,
    math.inf, -math.inf,
)  # fmt: skip

DECIMALS = (
    "0", "-0", "1", "1.0", "-1.50", "0.1", "1E+3", "12345678901234567890.12345678901234",
    "9.999999999999999999999999999999999E+6144", "1E-6143", "Infinity", "-Infinity",
)  # fmt: skip

TEXTS: tuple[Value, ...] = (
    "", "text", "\0", "é", "e\u0301", "☃", "𝄞", "\U0010ffff", "\ufeffmark", "1", "None", "\r\n",
)  # fmt: skip

CONTAINERS: tuple[Value, ...] = (
    [], {}, [[]], [{}], {"": None}, {"a": []}, [1, "1", b"1", 1.0, True, None, Decimal(1)],
    [3, 1, 2], {"b": 1, "a": 2}, {"a": {"b": {"c": [1, {"d": b"\0"}]}}}, [None, [None, [None]]],
    {"é": "é", "e\u0301": 1, "𝄞": [True, False]},
)  # fmt: skip


def _round_trip(ctx: BackendContext, values: tuple[Value, ...]) -> None:
    """Each value comes back from get, and all of them from mset and mget."""
    for number, value in enumerate(values):
        key = ctx.key(str(number))
        ctx.store.set(key, value)
        ctx.expect(ctx.store.get(key), value, "get after set")
    keys = [ctx.key(f"b{number}") for number in range(len(values))]
    ctx.store.mset(list(zip(keys, values, strict=True)))
    ctx.expect(ctx.store.mget(keys), list(values), "mget after mset")


def _expect_refusals(
    ctx: BackendContext, values: tuple[object, ...], kind: type[Exception]
) -> None:
    key = ctx.key("refused")
    for value in values:
        expect_refused(ctx, kind, with_value(ctx, key, value), value)
        ctx.expect(ctx.store.exists(key), False, f"exists after {value!r:.60} was refused")


@backend_case("BVAL-001")
def bytes_of_any_content(ctx: BackendContext) -> None:
    """`bytes` come back as they were, whatever they look like."""
    _round_trip(ctx, BYTES)


@backend_case("BVAL-002", after=(*BACKEND.base, "BVAL-001"))
def large_values(ctx: BackendContext) -> None:
    """Values around powers of two, and of a million bytes, come back whole."""
    key = ctx.key()
    for size in (255, 256, 65_535, 65_536, 65_537, 524_289, VALUE_BYTES):
        value = ctx.rng.randbytes(size)
        ctx.store.set(key, value)
        if ctx.store.get(key) != value:
            raise CaseFailed(f"the {size} bytes that were stored", "others", seed=ctx.seed)


@backend_case("BVAL-003")
def types_that_are_not_held(ctx: BackendContext) -> None:
    """What the store does not hold is refused, wherever it comes in."""
    unstorable = (object(), {1, 2}, 1j, range(2), bytearray(b"x"), memoryview(b"x"), Exception)
    typed = ("text", 1, 1.5, True, None, Decimal(1), [b"x"], {"a": b"x"}, (b"x",))
    nested = ([object()], {"a": {1}}, [[[1j]]], ({"a": bytearray()},))
    _expect_refusals(ctx, (*unstorable, *(nested if ctx.is_typed else typed)), TypeError)


@backend_case("BVAL-004")
def a_refusal_names_the_key(ctx: BackendContext) -> None:
    """A caller that stores a batch of thousands learns which key was wrong."""
    key = ctx.key("guilty")
    bad: tuple[object, ...] = (
        (object(), I64_MAX + 1, "\ud800", {1: 1}) if ctx.is_typed else (object(), 1)
    )
    for value in bad:
        for operation, call in with_value(ctx, key, value).items():
            try:
                call()
            except (TypeError, ValueError) as error:
                if key not in str(error):
                    wanted = f"an error of {operation} that names {key!r}"
                    raise CaseFailed(wanted, str(error)) from None


@backend_case("BVAL-005", needs=TYPED)
def every_type_comes_back(ctx: BackendContext) -> None:
    """None, bool, int, float, Decimal, str, bytes, list and dict, equal and of the same type."""
    simple: tuple[Value, ...] = (
        None, True, False, 0, 1, 0.0, 1.0, Decimal(0), Decimal(1), "", "1", b"", b"1",
    )  # fmt: skip
    _round_trip(ctx, (*simple, list(simple), {"all": list(simple), "none": None}))


@backend_case("BVAL-005", needs=TYPED)
def every_type_through_every_door(ctx: BackendContext) -> None:
    """What stores a value keeps its type, whichever operation it is."""
    key = ctx.key()
    for value in (True, 1, 1.0, "1", [True, 1, 1.0], {"a": True}):
        for operation, call in with_value(ctx, key, value).items():
            ctx.store.delete(key)
            if operation == "cas":
                ctx.store.set(key, ctx.value())
            call()
            ctx.expect(ctx.store.get(key), value, f"get after {operation}")


@backend_case("BVAL-006", needs=TYPED)
def ints_of_64_bits(ctx: BackendContext) -> None:
    """The bounds of i64 and of every width below it."""
    edges = [2**bits + step for bits in (7, 8, 15, 16, 31, 32, 53, 62) for step in (-1, 0, 1)]
    values = (0, *edges, *[-edge for edge in edges], I64_MIN, I64_MIN + 1, I64_MAX - 1, I64_MAX)
    _round_trip(ctx, values)


@backend_case("BVAL-007", needs=TYPED)
def ints_beyond_64_bits(ctx: BackendContext) -> None:
    """One beyond the bounds is refused, not wrapped and not made a float."""
    values = (I64_MAX + 1, I64_MIN - 1, 2**64, 10**30, [I64_MAX + 1], {"a": [I64_MIN - 1]})
    _expect_refusals(ctx, values, ValueError)


@backend_case("BVAL-008", needs=TYPED)
def floats(ctx: BackendContext) -> None:
    """Zeros with their signs, infinities, subnormal numbers, NaN."""
    _round_trip(ctx, FLOATS)
    key = ctx.key("sign")
    ctx.store.set(key, [-0.0, math.nan])
    back = cast("list[float]", ctx.store.get(key))
    ctx.expect(math.copysign(1, back[0]), -1.0, "sign of -0.0 when it comes back")
    ctx.expect(math.isnan(back[1]), True, "NaN comes back")
    ctx.store.set(key, math.nan)
    back_alone = ctx.store.get(key)
    ctx.expect(isinstance(back_alone, float) and math.isnan(back_alone), True, "NaN comes back")


@backend_case("BVAL-009", needs=TYPED)
def decimals(ctx: BackendContext) -> None:
    """Sign, digits and exponent; NaN."""
    values = tuple([Decimal(text) for text in DECIMALS])
    _round_trip(ctx, values)
    key = ctx.key("digits")
    for value in (*values, Decimal("NaN")):
        ctx.store.set(key, value)
        back = ctx.store.get(key)
        same = isinstance(back, Decimal) and back.as_tuple()[:2] == value.as_tuple()[:2]
        ctx.expect(same, True, f"sign and digits of {value} in {back!r}")


@backend_case("BVAL-010", needs=TYPED)
def texts(ctx: BackendContext) -> None:
    """Text of all planes, empty, with U+0000, not normalised; long."""
    _round_trip(ctx, (*TEXTS, "é" * 70_000, list(TEXTS)))


@backend_case("BVAL-011", needs=TYPED)
def texts_with_lone_surrogates(ctx: BackendContext) -> None:
    """What is not valid Unicode is refused at every level."""
    _expect_refusals(ctx, ("\ud800", ["a\udfff"], {"a": "\ud800"}, {"\ud800": 1}), ValueError)


@backend_case("BVAL-012", needs=TYPED)
def lists_and_dicts(ctx: BackendContext) -> None:
    """Items in their order, pairs, empty ones, mixed types, nested ones."""
    _round_trip(ctx, CONTAINERS)
    wide = {f"key {number}": [number, str(number)] for number in range(1000)}
    _round_trip(ctx, (list(range(5000)), cast("Value", wide)))


@backend_case("BVAL-013", needs=TYPED)
def tuples_become_lists(ctx: BackendContext) -> None:
    """A tuple comes back as a list, at every level."""
    key = ctx.key()
    given = cast("Value", (1, (2, {"a": (3,)}), []))
    for operation, call in with_value(ctx, key, given).items():
        ctx.store.set(key, ctx.value())
        if operation == "setnx":
            ctx.store.delete(key)
        call()
        expected = [1, [2, {"a": [3]}], []]
        ctx.expect(ctx.store.get(key), expected, f"get of a tuple after {operation}")


@backend_case("BVAL-014", needs=TYPED)
def dicts_with_other_keys(ctx: BackendContext) -> None:
    """A dict is refused when one of its keys is no str: it would not come back as it was."""
    bad = ({1: 1}, {b"a": 1}, {None: 1}, {"a": 1, 2: 2}, [{True: 1}], {"a": {("a",): 1}})
    _expect_refusals(ctx, bad, TypeError)


@backend_case("BVAL-015", needs=TYPED)
def thirty_two_levels(ctx: BackendContext) -> None:
    """32 levels of lists, of dicts, and of both."""
    lists: Value = []
    dicts: Value = {}
    mixed: Value = []
    for level in range(31):
        lists, dicts = [lists], {"d": dicts}
        mixed = [mixed, level] if level % 2 else {"m": mixed, "level": level}
    _round_trip(ctx, (lists, dicts, mixed))


@backend_case("BVAL-016", needs=TYPED)
def values_without_an_end(ctx: BackendContext) -> None:
    """What contains itself is refused; what is very deep is held or refused, and nothing else."""
    endless: list[Value] = []
    endless.append({"again": endless})
    _expect_refusals(ctx, (endless,), ValueError)
    for levels in (64, 65, 200, 100_000):
        deep: Value = []
        for _ in range(levels - 1):
            deep = [deep]
        key = ctx.key(f"deep{levels}")
        try:
            ctx.store.set(key, deep)
        except ValueError:
            ctx.expect(ctx.store.exists(key), False, f"exists after {levels} levels were refused")
        else:
            ctx.expect(_levels(ctx.store.get(key)), levels, "levels that came back")


def _levels(value: Value) -> int:
    levels = 0
    while isinstance(value, list):
        levels += 1
        value = value[0] if value else None
    return levels


@backend_case("BVAL-017", needs=TYPED)
def later_changes_do_not_reach_the_store(ctx: BackendContext) -> None:
    """What the caller does to a list or dict after the call stays with the caller."""
    key = ctx.key()
    for operation in with_value(ctx, key, None):
        given: Value = [1, {"a": [2]}]
        ctx.store.set(key, ctx.value())
        if operation == "setnx":
            ctx.store.delete(key)
        with_value(ctx, key, given)[operation]()
        _spoil(given)
        ctx.expect(ctx.store.get(key), [1, {"a": [2]}], f"get after {operation} and a change")


@backend_case("BVAL-018", needs=TYPED)
def what_was_read_belongs_to_the_caller(ctx: BackendContext) -> None:
    """What the caller does to a list or dict that was read stays with the caller."""
    key = ctx.key()
    ctx.store.set(key, [1, {"a": [2]}])
    _spoil(ctx.store.get(key))
    ctx.expect(ctx.store.get(key), [1, {"a": [2]}], "get after a change of what get gave")
    twice = ctx.store.mget([key, key])
    _spoil(twice[0])
    ctx.expect(twice[1], [1, {"a": [2]}], "the second of two values of one mget")
    ctx.expect(ctx.store.get(key), [1, {"a": [2]}], "get after a change of what mget gave")
    if Capability.CAS in ctx.capabilities:
        swapped = ctx.store.cas(key, [1, {"a": [2]}], [1, {"a": [2]}])
        ctx.expect(swapped, True, "cas with the value as it was stored")


def _spoil(value: Value) -> None:
    """Change a list like ``[1, {"a": [2]}]`` at every level."""
    assert isinstance(value, list)
    inner = value[1]
    assert isinstance(inner, dict)
    items = inner["a"]
    assert isinstance(items, list)
    items.append(3)
    inner["b"] = 4
    value.append(5)
