"""SimpleBackend: four methods make an adapter that keeps every clause that binds it."""

from __future__ import annotations

import pytest

from kvbench import SimpleBackend
from kvbench.backend import BATCH_OPERATIONS
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import BACKEND
from kvbench.conformance.target import Target
from kvbench.errors import KvConnectionError, KvRefusedError, UnsupportedError, UsageError
from kvbench.model import BatchKind
from kvbench.verdicts import Outcome


class Shelf(SimpleBackend):
    """The least that an adapter can be."""

    summary = "a dict"
    url_example = "shelf://name"

    def __init__(self, place):
        if place == "broken":
            raise OSError("no such shelf")
        self.data = {}
        self.closed = 0

    def read_value(self, key):
        if key == "broken":
            raise OSError("the shelf fell down")
        return self.data.get(key)

    def write_value(self, key, value):
        self.data[key] = value

    def remove_key(self, key):
        return self.data.pop(key, None) is not None

    def close_store(self):
        self.closed += 1


def test_four_methods_conform():
    """The same four as a plain Backend violate nine MUST clauses: nothing is checked there."""
    options = Options(Selection(frozenset({BACKEND})), Profile(), "seed")

    def reopen():
        return Shelf.open("shelf://one")

    with Target("Shelf", store=reopen(), reopen=reopen) as target:
        found = check_target(target, frozenset(), options)
    assert found.summary == "conforms"
    assert {one.verdict for one in found.verdicts} == {Outcome.PASSED, Outcome.UNSUPPORTED}
    assert found.counts["MUST"][Outcome.PASSED] >= 55


def test_batches_are_declared_as_the_loops_that_they_are():
    assert {Shelf.batch_kind(one) for one in BATCH_OPERATIONS} == {BatchKind.EMULATED}


class Wide(Shelf):
    """A shelf that takes batches by itself."""

    batch_kinds = dict.fromkeys(("mget", "mset", "mdel"), BatchKind.NATIVE)

    def read_values(self, keys):
        return list(map(self.data.get, keys))

    def write_values(self, values):
        self.data.update(values)

    def remove_keys(self, keys):
        before = len(self.data)
        for key in keys:
            self.data.pop(key, None)
        return before - len(self.data)


@pytest.mark.thorough
def test_batches_of_the_store_conform_too():
    options = Options(Selection(frozenset({BACKEND})), Profile(), "seed")
    with Target("Wide", store=Wide.open("shelf://one"), reopen=lambda: Wide("one")) as target:
        assert check_target(target, frozenset(), options).summary == "conforms"
    assert Wide.batch_kind("mget") is BatchKind.NATIVE


def test_a_loop_cannot_be_declared_as_a_batch():
    with pytest.raises(TypeError, match="Boasts declares mget as native: define read_values"):
        type("Boasts", (Shelf,), {"batch_kinds": {"mget": BatchKind.NATIVE}})


def test_a_batch_with_one_ttl_is_refused_as_a_whole():
    with Shelf.open("shelf://one") as store:
        with pytest.raises(UnsupportedError):
            store.mset_each([("a", b"1", None), ("b", b"2", 5.0)])
        assert store.data == {}


def test_a_ttl_is_refused_and_nothing_stored():
    with Shelf.open("shelf://one") as store:
        with pytest.raises(UnsupportedError, match="Shelf does not support ttl"):
            store.set("k", b"v", ttl=1)
        with pytest.raises(UnsupportedError):
            store.mset({"k": b"v"}, ttl=1)
        assert store.data == {}


def test_the_stores_errors_become_ours():
    with pytest.raises(KvConnectionError, match="shelf://broken: no such shelf"):
        Shelf.open("shelf://broken")
    with Shelf.open("shelf://one") as store, pytest.raises(KvRefusedError, match="fell down"):
        store.get("broken")


def test_a_closed_store_is_no_miss_and_is_closed_once():
    store = Shelf.open("shelf://one")
    store.close()
    store.close()
    assert store.closed == 1
    for call in (lambda: store.get("k"), lambda: store.set("k", b""), lambda: store.mdel(["k"])):
        with pytest.raises(KvConnectionError, match="closed"):
            call()


def test_a_place_is_given_exactly_where_the_example_has_one():
    class InProcess(Shelf):
        url_example = "inprocess://"

    with pytest.raises(UsageError, match="write a URL like shelf://name"):
        Shelf.open("shelf://")
    with pytest.raises(UsageError, match="write a URL like inprocess://"):
        InProcess.open("inprocess://name")
    InProcess.open("inprocess://").close()
