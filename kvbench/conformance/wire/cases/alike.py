"""Batches of every size, and keys that look alike, in every operation: what the model says."""

from __future__ import annotations

from collections.abc import Sequence

from kvbench.conformance.findings import CaseFailed, SetupFailed, evidence_of
from kvbench.conformance.wire.cases.everywhere import there
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.everywhere import LONG_TTL_MS
from kvbench.conformance.wire.oracle import Action, Entry, State, apply, same_result, shown
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.values import encode_value
from kvbench.model import Value
from kvbench.protocol.opcodes import Opcode, RequestLayout, Status

MODEL_SIZES = (1, 2, 3, 127, 128, 255, 256, 257, 1025)
"""Sizes of batches around those where a count or a length needs one bit or byte more."""


@wire_case("BATCH-001")
def batches_of_nothing(context: WireContext) -> None:
    """Each batch operation without a key: what a model says."""
    expect_model(context, context.connect(), _batches_of(context, 0), {})


@wire_case("BATCH-002")
def batches_of_every_size(context: WireContext) -> None:
    """Each batch operation with keys that are there, absent or repeated: what a model says."""
    connection = context.connect()
    for size in MODEL_SIZES:
        expect_model(context, connection, _batches_of(context, size), {})


def _batches_of(context: WireContext, size: int) -> list[Action]:
    """Each batch operation that the target has, with so many keys, and a third of them twice."""
    names = [f":{size}:{number}" for number in range(size)]
    steps = [Action("set", (name,), (place,)) for place, name in enumerate(names[::2][:100])]
    asked = (*names, *names[: size // 3])
    values: tuple[Value, ...] = tuple(range(len(asked)))
    ttls_ms = tuple([(0, LONG_TTL_MS)[place % 2] for place in range(len(asked))])
    batches = [
        Action("mget", asked), Action("mexists", asked), Action("mdel", asked),
        Action("mset", asked, values), Action("mget", asked), Action("mexists", asked),
        Action("mdel", asked[1:] or asked), Action("msetex", asked, values, ttls_ms=ttls_ms),
        Action("mget", asked), Action("mdel", asked), Action("mget", asked),
    ]  # fmt: skip
    return [*steps, *[action for action in batches if action.name in context.capabilities]]


def expect_model(
    context: WireContext, connection: WireConnection, steps: Sequence[Action], state: State
) -> State:
    """Send actions one by one; fail unless each answer is the model's. The state afterwards."""
    context.own([f"{context.prefix}{key}".encode() for step in steps for key in step.keys])
    for action in steps:
        transition = apply(state, action)
        found = decode(action, connection.exchange(encode(action, context.prefix)))
        if not same_result(transition.result, found):
            wanted = f"{shown(transition.result):.200} to {action}"
            raise CaseFailed(wanted, f"{shown(found):.200}")
        state = transition.state
    return state


# --- Which key -----------------------------------------------------------------------------------

ALIKE_KEYS = (
    "k", "K", "k ", " k", "k\0", "kk", "k\n", "k\u200b", "k\ufeff", "\u212a", "ｋ", "k/", "k:",
    "é", "e\u0301", "ß", "ss", "ﬁ", "fi", "İ", "i̇", "1", "01", "1.0", "true", "null", "*", "?",
    "%6b", "\\x6b", "x" * 200, "x" * 199 + "y", "y" + "x" * 199, "x" * 100 + "y" + "x" * 99,
)  # fmt: skip
"""Alike but for case, white space, form, a prefix, a suffix or their length."""


@wire_case("KEY-006")
def keys_that_look_alike_in_every_operation(context: WireContext) -> None:
    """Each operation on every second of many keys that look alike: the others are as before."""
    for name in sorted(there(context)):
        try:
            _touch_every_second(context, name, ALIKE_KEYS)
        except CaseFailed:
            if _works_on_plain_keys(context, name):
                raise


def _touch_every_second(context: WireContext, name: str, keys: Sequence[str]) -> None:
    """Fail unless the operation does to every second key what the model says, and no more."""
    connection = context.connect()
    keys = tuple([f"{name}:{key}" for key in keys])
    stored = [Action("set", (key,), (place,)) for place, key in enumerate(keys)]
    state = expect_model(context, connection, stored, {})
    state = expect_model(context, connection, _touching(name, keys[::2]), state)
    reads = [Action("get", (key,)) for key in keys]
    reads += [Action("mget", keys)] if "mget" in context.capabilities else []
    expect_model(context, connection, reads, state)


def _works_on_plain_keys(context: WireContext, name: str) -> bool:
    """Whether the same goes well with keys that nothing takes for each other."""
    try:
        _touch_every_second(context, name, [f"{place:05d}" for place in range(len(ALIKE_KEYS))])
    except CaseFailed:
        return False
    return True


@wire_case("KEY-008", needs=("mget", "mset"))
def batches_and_single_keys_share_entries(context: WireContext) -> None:
    """What SET stores MGET finds, and GET what MSET stores, where each pair agrees with itself."""
    connection, (one, other) = context.connect(), context.keys(2)
    single, batch = Action("set", (one,), (1,)), Action("mset", (other,), (1,))
    try:
        for action in (single, Action("get", (one,)), batch, Action("mget", (other,))):
            _expect_one(connection, action)
    except CaseFailed as error:
        raise SetupFailed(f"before the check: {error}") from None
    with evidence_of("KEY-008"):  # Each pair works by itself: what differs can only be the entry.
        _expect_one(connection, Action("mget", (one,)))
        _expect_one(connection, Action("get", (other,)))


def _expect_one(connection: WireConnection, action: Action) -> None:
    """Fail unless the answer is that of a key with the Int 1."""
    found = decode(action, connection.exchange(encode(action)))
    wanted = apply({action.keys[0]: Entry(1)}, action).result
    if not same_result(wanted, found):
        raise CaseFailed(f"{shown(wanted)} to {action}", shown(found))


def _touching(name: str, keys: tuple[str, ...]) -> list[Action]:
    """The operation on each of the keys, or on all at once."""
    opcode = Opcode[name.upper()]
    many: tuple[Value, ...] = tuple(range(1000, 1000 + len(keys)))
    match opcode.request:
        case RequestLayout.KEYS:
            return [Action(name, keys)]
        case RequestLayout.PAIRS:
            return [Action(name, keys, many)]
        case RequestLayout.ENTRIES:
            return [Action(name, keys, many, ttls_ms=(0,) * len(keys))]
        case RequestLayout.KEY_DELTA:
            return [Action(name, (key,), (5,)) for key in keys]
        case RequestLayout.KEY_TTL_VALUES:
            # The values are the places: every second key, so twice its place here.
            return [Action(name, (key,), (2 * at, -at)) for at, key in enumerate(keys)]
        case RequestLayout.KEY_TTL_VALUE:
            return [Action(name, (key,), (-1,)) for key in keys]
        case RequestLayout.KEY_OWNER | RequestLayout.KEY_OWNER_TTL:
            ttl_ms = LONG_TTL_MS if opcode.request is RequestLayout.KEY_OWNER_TTL else 0
            return [Action(name, (key,), ("owner",), ttl_ms) for key in keys]
        case _:
            return [Action(name, (key,)) for key in keys]


# --- Many at once --------------------------------------------------------------------------------

ROUND_BYTES = (64, 128, 256)
"""Requests of these sizes fill portions of a power of two to the last byte."""

OVERHEADS = (0, 5, 16, 32, 48, 64)
"""What a server may add to a payload, or leave out, when it measures a request."""


@wire_case("PIPE-001", "FRAME-006")
def many_requests_that_fill_a_portion(context: WireContext) -> None:
    """1100 GETs of one length at once, of lengths that fill buffers exactly: each is answered."""
    connection = context.connect()
    lengths = {size - overhead for size in ROUND_BYTES for overhead in OVERHEADS}
    for length in sorted(lengths):
        if length > len(context.prefix):
            key = context.key("k" * (length - len(context.prefix)))
            context.stored(connection, key, length)
            connection.send(1100 * encode(Action("get", (key,))))
            for reply in connection.read_many(1100):
                reply.expect(Status.OK, encode_value(length))
