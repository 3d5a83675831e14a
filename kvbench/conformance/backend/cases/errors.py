"""Errors, declarations and life cycle: what a backend says of itself, and how it fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial

from kvbench.backend import (
    BATCH_OPERATIONS,
    OPTIONAL_METHODS,
    AsyncBackend,
    Backend,
    BackendDescription,
)
from kvbench.blocking import BlockingBackend
from kvbench.conformance.backend.calls import Calls, arguments, with_key, with_ttl, with_value
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.suite import BACKEND, backend_case
from kvbench.conformance.findings import CaseFailed, DoesNotApply, evidence_of
from kvbench.errors import KvbenchError, KvError, UnsupportedError
from kvbench.model import BatchKind, Capability

SHARED = ("shared",)
METHODS = tuple(
    [name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if name[0] != "_"]
)


def _adapter(ctx: BackendContext) -> tuple[type[BackendDescription], type[BackendDescription]]:
    """The adapter's own class, behind its blocking face if it has one, and its interface."""
    if isinstance(ctx.adapter, BlockingBackend):
        return type(ctx.adapter.inner), AsyncBackend
    return type(ctx.adapter), Backend


def _optional_calls(ctx: BackendContext, key: str) -> dict[str, Calls]:
    """The operations of each capability, each as a call that has nothing wrong with it."""
    store, value = ctx.store, ctx.value()
    calls: dict[str, dict[str, Callable[[], object]]] = {
        capability: {
            name: partial(getattr(store, name), *arguments(ctx, name, key)) for name in names
        }
        for capability, names in OPTIONAL_METHODS.items()
    }
    calls[Capability.TTL]["set with a TTL"] = lambda: store.set(key, value, 60)
    calls[Capability.TTL]["mset with a TTL"] = lambda: store.mset({key: value}, 60)
    calls[Capability.TYPED_VALUES] = {"set of an int": lambda: store.set(key, 1)}
    return {**calls}


@backend_case("BERR-001", after=(*BACKEND.base, "BSET-004"))
def usable_after_refusals(ctx: BackendContext) -> None:
    """After each refused argument the next call works."""
    key = ctx.key()
    ctx.store.set(key, ctx.value())
    calls = [*with_key(ctx, "").items(), *with_key(ctx, None).items()]
    calls += [*with_value(ctx, key, object()).items()]
    if ctx.has_ttl:
        calls += [*with_ttl(ctx, key, -1).items(), *with_ttl(ctx, key, "5").items()]
    for operation, call in calls:
        try:
            call()
        except (TypeError, ValueError):
            pass
        except KvError:
            continue  # Another error than it should be: other clauses say so.
        else:
            continue  # It was not refused, which is other clauses' matter, too.
        ctx.expect(ctx.store.get(key), ctx.value(), f"get after a refused {operation}")
        ctx.expect(ctx.store.mget([key]), [ctx.value()], f"mget after a refused {operation}")


@backend_case("BERR-002", "BERR-003")
def a_closed_backend_has_failed(ctx: BackendContext) -> None:
    """Calls of a closed backend are errors of kvbench's, or reach the store; they are no misses."""
    key, value = ctx.key(), ctx.value()
    store = ctx.another_store()
    store.set(key, value)
    store.close()
    answers: Mapping[str, tuple[Callable[[], object], object]] = {
        "get": (lambda: store.get(key), value),
        "exists": (lambda: store.exists(key), True),
        "mget": (lambda: store.mget([key]), [value]),
        "mexists": (lambda: store.mexists([key]), [True]),
        "set": (lambda: store.set(key, value), None),
        "mset": (lambda: store.mset({key: value}), None),
        "mdel": (lambda: store.mdel([key]), 1),
        "delete": (lambda: store.delete(key), False),
    }
    failed = set()
    for operation, (call, honest) in answers.items():
        try:
            answer = call()
        except KvError:
            failed.add(operation)
        except Exception as error:  # noqa: BLE001 - whatever it raises is reported
            shown = f"{type(error).__name__}: {error}"
            expected = f"{operation} of a closed backend: a KvError"
            raise CaseFailed(expected, shown, clauses=["BERR-003"]) from None
        else:
            with evidence_of("BERR-002"):
                ctx.expect(answer, honest, f"{operation} of a closed backend, if it answers at all")
    if failed and len(failed) < len(answers):
        expected = "all operations of a closed backend fail, or none"
        raise CaseFailed(expected, f"only {failed}", clauses=["BERR-002"])


@backend_case("BERR-004")
def messages_keep_values_to_themselves(ctx: BackendContext) -> None:
    """What is stored does not appear in the message of an error."""
    key, secret = ctx.key(), b"secret that must not be in a log"
    ctx.store.set(key, secret)
    calls = {**with_value(ctx, key, [secret, object()]), **with_key(ctx, "")}
    if Capability.COUNTERS in ctx.capabilities:
        calls["incr"] = lambda: ctx.store.incr(key)
    for operation, call in calls.items():
        try:
            call()
        except (KvbenchError, TypeError, ValueError) as error:
            if "secret" in str(error):
                raise CaseFailed(f"an error of {operation} without the value", str(error)) from None


@backend_case("BDECL-001", after=())
def capabilities_are_capabilities(ctx: BackendContext) -> None:
    """The set of capabilities holds nothing else."""
    declared: object = ctx.store.capabilities
    if not isinstance(declared, frozenset | set):
        raise CaseFailed("a set of Capability", repr(declared))
    for one in declared:
        ctx.expect(isinstance(one, Capability), True, f"{one!r} is a Capability")


@backend_case("BDECL-002")
def what_is_declared_is_there(ctx: BackendContext) -> None:
    """No operation of a declared capability says that it is unsupported."""
    key = ctx.key()
    for capability, calls in _optional_calls(ctx, key).items():
        ctx.store.delete(key)
        for operation, call in calls.items() if capability in ctx.capabilities else ():
            try:
                call()
            except UnsupportedError as error:
                raise CaseFailed(f"{operation}, as {capability} is declared", str(error)) from None


@backend_case("BDECL-003")
def what_is_not_declared_says_so(ctx: BackendContext) -> None:
    """Operations of what is not declared raise UnsupportedError and change nothing."""
    key, looked = ctx.key(), 0
    declared = ctx.store.capabilities | {Capability.TYPED_VALUES, Capability.TTL_EACH}
    for capability, calls in _optional_calls(ctx, key).items():
        for operation, call in calls.items() if capability not in declared else ():
            ctx.expect_error((UnsupportedError,), call, f"{operation} without {capability}")
            ctx.expect(ctx.store.exists(key), False, f"exists after {operation}")
            looked += 1
    if not looked:
        raise DoesNotApply("it declares everything")


@backend_case("BDECL-004", after=())
def batch_kinds(ctx: BackendContext) -> None:
    """Every batch operation has a kind."""
    for operation in BATCH_OPERATIONS:
        kind = ctx.store.batch_kind(operation)
        ctx.expect(isinstance(kind, BatchKind), True, f"kind of {operation}, {kind!r}, is one")


@backend_case("BDECL-005", after=())
def loops_are_declared_as_loops(ctx: BackendContext) -> None:
    """What the adapter inherits is a loop of single calls, and is called emulated."""
    adapter, interface = _adapter(ctx)
    for operation in BATCH_OPERATIONS:
        if getattr(adapter, operation) is getattr(interface, operation):
            kind = ctx.store.batch_kind(operation)
            ctx.expect(kind, BatchKind.EMULATED, f"kind of {operation}, which is inherited")


@backend_case("BDECL-006", after=())
def facts_are_texts(ctx: BackendContext) -> None:
    """`describe` gives facts that fit a record."""
    facts: object = ctx.store.describe()
    if not isinstance(facts, Mapping):
        raise CaseFailed("a mapping from describe", repr(facts))
    for name, fact in facts.items():
        ctx.expect((type(name), type(fact)), (str, str), f"types of the fact {name!r}: {fact!r}")


@backend_case("BDECL-007", after=())
def the_product_is_named(ctx: BackendContext) -> None:
    """A record says what was looked at."""
    ctx.expect(bool(ctx.store.describe().get("product")), True, "describe names the product")


@backend_case("BDECL-008", after=())
def methods_take_what_they_should(ctx: BackendContext) -> None:
    """Names, order and defaults of parameters are those of the interface."""
    adapter, interface = _adapter(ctx)
    for method in METHODS:
        expected = inspect.signature(getattr(interface, method)).parameters.values()
        actual = list(inspect.signature(getattr(adapter, method)).parameters.values())
        shown = [(one.name, one.default) for one in actual[: len(expected)]]
        what = f"parameters of {method}"
        ctx.expect(shown, [(one.name, one.default) for one in expected], what)
        required = [one.name for one in actual[len(expected) :] if _is_required(one)]
        ctx.expect(required, [], f"further required parameters of {method}")


def _is_required(one: inspect.Parameter) -> bool:
    is_variable = one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    return one.default is one.empty and not is_variable


@backend_case("BDECL-009", after=())
def the_adapter_introduces_itself(ctx: BackendContext) -> None:
    """`kvbench backends` has something to show."""
    ctx.expect(bool(ctx.store.summary), True, "there is a summary")
    ctx.expect("://" in ctx.store.url_example, True, "url_example is a URL")


@backend_case("BDECL-010", after=(), needs=("ttl-each",))
def ttl_each_is_ttl(ctx: BackendContext) -> None:
    """Who can give each key a TTL can give one key a TTL."""
    ctx.expect(Capability.TTL in ctx.store.capabilities, True, "ttl is declared")


@backend_case("BLIFE-001")
def closing_twice(ctx: BackendContext) -> None:
    """The second close does nothing."""
    store = ctx.another_store()
    store.get(ctx.key())
    store.close()
    try:
        store.close()
    except Exception as error:  # noqa: BLE001 - whatever it raises is reported
        shown = f"{type(error).__name__}: {error}"
        raise CaseFailed("nothing from a second close", shown) from None


@backend_case("BLIFE-005")
def closing_disturbs_nobody(ctx: BackendContext) -> None:
    """Other backends go on."""
    key = ctx.key()
    ctx.store.set(key, ctx.value())
    remaining, closing = ctx.another_store(), ctx.another_store()
    remaining.set(key, ctx.value())
    closing.close()
    ctx.expect(remaining.get(key), ctx.value(), "get after another backend was closed")
    ctx.expect(ctx.store.get(key), ctx.value(), "get after another backend was closed")
    remaining.close()
    ctx.expect(ctx.store.get(key), ctx.value(), "get after two other backends were closed")


@backend_case("BLIFE-002", after=(*BACKEND.base, "BLIFE-005"))
def as_a_context_manager(ctx: BackendContext) -> None:
    """A with block gets the backend, closes it, and lets exceptions pass."""
    closed, left = ctx.another_store(), ctx.another_store()
    with left as given:
        ctx.expect(given is left, True, "the block gets the backend itself")
        left.set(ctx.key(), ctx.value())
    closed.close()
    what = "get after the block is as get after close: of one kind"
    ctx.expect(_outcome(left, ctx.key()), _outcome(closed, ctx.key()), what)
    try:
        with ctx.another_store():
            raise LookupError("raised in the block")
    except LookupError:
        return
    raise CaseFailed("the exception of the block", "nothing: it was swallowed")


def _outcome(store: Backend, key: str) -> str:
    try:
        store.get(key)
    except Exception as error:  # noqa: BLE001 - what kind it is, is all that is asked
        return type(error).__name__
    return "an answer"


@backend_case("BLIFE-003", needs=SHARED)
def two_backends_one_store(ctx: BackendContext) -> None:
    """What one backend does is seen by another, at once and in both directions."""
    key, other = ctx.keys(2)
    store = ctx.another_store()
    for number in range(10):
        ctx.store.set(key, ctx.value(number))
        ctx.expect(store.get(key), ctx.value(number), "get by another backend after set")
        store.mset({key: ctx.value(100 + number), other: ctx.value(number)})
        expected = [ctx.value(100 + number), ctx.value(number)]
        ctx.expect(ctx.store.mget([key, other]), expected, "mget after mset by another backend")
    ctx.store.delete(key)
    ctx.expect(store.exists(key), False, "exists by another backend after delete")
    ctx.expect(store.mdel([key, other]), 1, "mdel by another backend")
    ctx.expect(ctx.store.get(other), None, "get after mdel by another backend")


@backend_case("BLIFE-004", needs=SHARED)
def stores_outlive_backends(ctx: BackendContext) -> None:
    """What a closed backend has stored is there for the next one."""
    key = ctx.key()
    with ctx.another_store() as store:
        store.set(key, ctx.value())
    ctx.expect(ctx.store.get(key), ctx.value(), "get after the backend that stored it was closed")
    with ctx.another_store() as store:
        ctx.expect(store.get(key), ctx.value(), "get by a backend that was opened afterwards")
