"""The guard of the backend suite: which calls reach a store, and what becomes of odd arguments."""

from __future__ import annotations

import pytest
from kvbench_backends.memory import MemoryBackend

from kvbench.backend import Backend
from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.guard import NO_LIST
from kvbench.conformance.findings import SetupFailed
from kvbench.conformance.isolation import PREFIX_START, ForeignKeyError
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import BACKEND
from kvbench.conformance.target import Target
from kvbench.verdicts import Outcome

FOREIGN = {b"k".decode(): b"1", "key": b"2", "a": b"3", "None": b"4", "5": b"5"}


class Careless(MemoryBackend):
    """Takes anything for a key: what is no text becomes one, a text in a list's place is a list."""

    def __init__(self, clock=None):
        super().__init__(clock)
        self.held = dict(FOREIGN)

    def get(self, key):
        return self.held.get(str(key))

    def set(self, key, value, ttl=None):
        self.held[str(key)] = value

    def delete(self, key):
        return self.held.pop(str(key), None) is not None

    def exists(self, key):
        return str(key) in self.held

    def mget(self, keys):
        return [self.get(key) for key in keys]

    def mset(self, pairs, ttl=None):
        self.held |= {str(one[0]) if isinstance(one, tuple) else str(one): b"" for one in pairs}

    def mset_each(self, entries):
        self.mset(entries)

    def mdel(self, keys):
        return sum([self.delete(key) for key in keys])

    def mexists(self, keys):
        return [self.exists(key) for key in keys]


def context(store) -> BackendContext:
    capabilities = frozenset([one.value for one in store.capabilities])
    return BackendContext(store, lambda: store, capabilities=capabilities, seed="s")


@pytest.mark.parametrize(
    "call",
    [
        lambda store, own: store.set("k", b"v"),
        lambda store, own: store.delete("k"),
        lambda store, own: store.incr("k"),
        lambda store, own: store.lock("k", "me", 1),
        lambda store, own: store.mdel([own, "k"]),
        lambda store, own: store.mdel(key for key in (own, "k")),
        lambda store, own: store.mdel("key"),
        lambda store, own: store.mset({own: b"v", "k": b"v"}),
        lambda store, own: store.mset([(own, b"v"), ("k", b"v")]),
        lambda store, own: store.mset([(own, b"v"), "k"]),
        lambda store, own: store.mset_each([(own, b"v", None), ("k", b"v", None)]),
        lambda store, own: store.pipelined_delete([own, "k"]),
        lambda store, own: store.pipelined_set([(own, b"v"), ("k", b"v")]),
        lambda store, own: store.set(own[:-3], b"v"),
        lambda store, own: store.pipelined_set({own: b"v", "k": b"v"}),
        lambda store, own: store.pipelined_delete([own, "k"]),
    ],
)
def test_no_call_reaches_a_foreign_key(call):
    store = Careless()
    with context(store) as ctx, pytest.raises(ForeignKeyError):
        call(ctx.store, ctx.key())
    assert store.held == FOREIGN


def test_a_method_that_the_guard_does_not_know_is_never_called(monkeypatch):
    """A backend gets a method that writes: the guard has to learn it first."""
    monkeypatch.setattr(Backend, "increase_all", lambda self: None, raising=False)
    with context(Careless()) as ctx, pytest.raises(ForeignKeyError, match="increase_all"):
        ctx.store.increase_all()


def test_every_method_of_a_backend_is_known():
    public = {name for name, one in vars(Backend).items() if callable(one) and name[0] != "_"}
    with context(Careless()) as ctx:
        for name in public | {"describe", "batch_kind", "open", "open_on_clock"}:
            assert callable(getattr(ctx.store, name))


def test_own_keys_pass_and_anything_can_be_read():
    store = Careless()
    with context(store) as ctx:
        assert ctx.prefix.startswith(PREFIX_START)
        ctx.store.mset((key, b"v") for key in ctx.keys(3))
        assert ctx.store.mexists([*ctx.keys(3), "k"]) == [True] * 4
        with ctx.store as given:
            assert given is ctx.store
    assert store.held == FOREIGN


def test_other_users_are_guarded_too():
    store = Careless()
    with context(store) as ctx:
        for other in (ctx.another_store(), ctx.user()):
            with pytest.raises(ForeignKeyError):
                other.delete("k")


def test_what_cannot_carry_the_prefix_is_looked_for_and_removed():
    store = Careless()
    with context(store) as ctx:
        ctx.store.set("", b"v")
        ctx.store.set(17, b"v")
        ctx.store.mset([NO_LIST])
        assert store.held.keys() > {"", "17", NO_LIST}
    assert store.held == FOREIGN


def test_what_cannot_carry_the_prefix_and_is_there_is_left_alone():
    store = Careless()
    with context(store) as ctx:
        for call in (lambda: ctx.store.set(None, b"v"), lambda: ctx.store.mdel([5])):
            with pytest.raises(SetupFailed, match="belong to another user"):
                call()
            with pytest.raises(SetupFailed):
                ctx.expect_error((TypeError,), call, "a refusal")
    assert store.held == FOREIGN


def test_the_whole_suite_leaves_a_careless_store_as_it_was():
    """Many cases fail, none is an error, and nothing foreign is touched."""
    store = Careless()
    target = Target("x", store=store, reopen=lambda: store)
    capabilities = frozenset([one.value for one in store.capabilities])
    options = Options(Selection(frozenset({BACKEND})), Profile(), "s")
    examiner = Runner(target, capabilities, options)
    found = {case.name: examiner.finding(case) for case in BACKEND.cases}
    outcomes = {finding.outcome for finding in found.values()}
    assert Outcome.ERROR not in outcomes
    assert outcomes >= {Outcome.FAILED, Outcome.PASSED}
    assert {key: store.held.get(key) for key in FOREIGN} == FOREIGN
    assert [key for key in store.held.keys() - FOREIGN if PREFIX_START not in key] == []
