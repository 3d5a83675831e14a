"""Generated and concurrent cases: each wrong server fails its own.

That the right one passes them is shown with all other cases by tests/mutants/test_mutants.py.
"""

import re
import sys

import pytest

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.suites import WIRE
from kvbench.conformance.wire import explore as explore_module
from kvbench.conformance.wire.cases import walks as wire_walks
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.explore import Enough, explore
from kvbench.conformance.wire.oracle import OPERATIONS
from kvbench.conformance.wire.strategies import SMALL_VALUES, menu, values
from kvbench.local_server import LocalServer
from kvbench.specs import clauses
from tests.conformance import broken_servers as broken
from tests.conformance.broken_servers import ThreadedDispatcher, serving

CAPABILITIES = WIRE.vocabulary
CASES = {case.name.removeprefix("wire."): case for case in WIRE.cases}
AREAS = ("concurrency", "generated", "damage", "walks")

FAULTS = {
    "concurrency.operations_on_one_key_are_linearizable": broken.StaleReads,
    "concurrency.batches_are_linearizable": broken.HalfBatches,
    "concurrency.a_large_batch_is_never_seen_half_done": broken.HalfBatches,
    "concurrency.what_was_written_is_seen_by_others": broken.StaleReads,
    "concurrency.increments_each_count_once": broken.LostUpdates,
    "concurrency.one_cas_of_several_swaps": broken.LostUpdates,
    "concurrency.one_setnx_of_several_stores": broken.LostUpdates,
    "concurrency.one_getdel_of_several_gets_the_value": broken.LostUpdates,
    "concurrency.one_lock_of_several_is_granted": broken.LostUpdates,
    "generated.random_values_come_back_equal": broken.BoolsBecomeInts,
    "generated.random_values_come_back_as_the_same_bytes": broken.SortedMaps,
    "generated.keys_of_any_characters": broken.PlaneKeys,
    "generated.keys_that_look_alike": broken.FoldedKeys,
    "generated.requests_in_any_pieces": broken.ReadIsRequest,
    "generated.many_requests_in_a_segment": broken.SortsSegments,
    "generated.keys_live_as_long_as_they_should": broken.HalfLives,
    "generated.keys_end_when_they_should": broken.LongLives,
    "damage.payloads_that_end_early_or_late": broken.LooseEnds,
    "damage.what_is_refused_changes_nothing": broken.StoresFirst,
    "damage.any_bytes_are_survived": broken.Hangs,
    "walks.incr-004": broken.CountsBools,
    "walks.cas-011": broken.CasForgetsTtl,
}


def run(name: str, port: int, seed: str = "7", timeout_s: float = 5.0) -> WireContext:
    case = CASES[name]
    context = WireContext(
        "127.0.0.1",
        port,
        capabilities=CAPABILITIES,
        seed=f"{seed}/{case.name}",
        reply_timeout_s=timeout_s,
    )
    with context:
        case.run(context)
    return context


def failure(name: str, dispatcher: ThreadedDispatcher, seeds: str = "7") -> CaseFailed:
    """How the case fails: with one of the seeds, for a fault may hide where threads are slow."""
    for seed in seeds:
        with serving(dispatcher) as port:
            try:
                run(name, port, seed, timeout_s=0.3)
            except CaseFailed as found:
                return found
    pytest.fail(f"{name} found nothing")


@pytest.fixture(autouse=True)
def _shrink_briefly(monkeypatch):
    monkeypatch.setattr(explore_module, "SHRINKING_S", 1.0)


@pytest.fixture(scope="module")
def reference_port():
    server = LocalServer([sys.executable, "-m", "kvbench", "serve", "--port", "0"])
    line = server.wait_for_line("127.0.0.1")
    yield int(re.search(r"127\.0\.0\.1:(\d+)", line).group(1))
    server.stop()


def test_every_case_of_these_areas_has_a_fault_or_is_a_walk():
    names = {name for name in CASES if name.startswith(AREAS) and not name.startswith("walks.")}
    assert names == {name for name in FAULTS if not name.startswith("walks.")}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_server_fails(name):
    found = failure(name, FAULTS[name](), seeds="789")
    assert found.expected
    assert found.actual


@pytest.mark.parametrize(
    "name",
    [
        "concurrency.operations_on_one_key_are_linearizable",
        "concurrency.batches_are_linearizable",
        "concurrency.one_cas_of_several_swaps",
    ],
)
def test_a_right_server_with_threads_passes(name):
    with serving(ThreadedDispatcher()) as port:
        run(name, port)


def test_a_server_without_atomic_batches_still_has_linearizable_keys():
    with serving(broken.HalfBatches()) as port:
        run("concurrency.operations_on_one_key_are_linearizable", port)


def test_a_violation_shows_its_history_and_seed():
    found = failure("concurrency.batches_are_linearizable", broken.HalfBatches())
    assert "MSET" in found.timeline
    assert max(map(len, found.timeline.splitlines())) <= 100
    # Of some 40 operations; the busier the machine, the more of them overlap.
    assert len(found.timeline.splitlines()) < 24
    assert found.seed == "7"


def test_a_large_batch_that_was_seen_half_done_says_what_was_seen():
    found = failure("concurrency.a_large_batch_is_never_seen_half_done", broken.HalfBatches())
    assert re.fullmatch(r"an MGET saw (\w+ \d+ times(, )?)+", found.actual)
    assert "MSET 000=" in found.timeline


def test_a_fault_is_held_against_its_own_clause_alone():
    with serving(broken.CountsBools()) as port:
        for name in ("walks.incr-001", "walks.incr-003", "walks.get-001"):
            run(name, port)


@pytest.mark.thorough
def test_a_walk_is_shrunk_to_the_steps_that_matter():
    found = failure("walks.cas-011", broken.CasForgetsTtl())
    # Which value it ends at is hypothesis's choice, and shrinking ends when its time is up. A walk
    # of dozens of steps is down to a few, and the last two are those that show the fault.
    checked = re.fullmatch(r"CAS a (\S+) (\S+): then TTL a: 1000000", found.expected)
    assert checked, found.expected
    steps = found.actual.partition("with ")[2].split(", ")
    assert len(steps) <= 6
    assert steps[-2] == f"SET a={checked[1]} for 1000000 ms"
    assert steps[-1] == f"CAS a {checked[1]} {checked[2]}"
    assert found.seed == "7"


def test_the_conversation_is_that_of_the_smallest_example():
    case = CASES["generated.random_values_come_back_equal"]
    with serving(broken.BoolsBecomeInts()) as port:
        context = WireContext("127.0.0.1", port, capabilities=WIRE.unlisted, seed="1")
        with pytest.raises(CaseFailed, match=r"got 0; with False") as caught, context:
            case.run(context)
    assert caught.value.expected == "False"
    sent = [event.data for event in context.trace.events if event.direction == ">"]
    assert len(sent) == 2
    assert sent[0].endswith(b"\x08\x00")


def test_one_seed_draws_the_same_examples_and_another_draws_others(reference_port):
    def drawn(seed: str) -> list[object]:
        found: list[object] = []
        context = WireContext("127.0.0.1", reference_port, capabilities=frozenset(), seed=seed)
        explore(
            context,
            values(WIRE.vocabulary),
            lambda _, value: found.append(repr(value)),
            examples=20,
        )
        return found

    assert drawn("a") == drawn("a")
    assert len(drawn("a")) == 20
    assert drawn("a") != drawn("b")


def test_effort_multiplies_examples_and_enough_ends_them(reference_port):
    seen: list[object] = []

    def check(_: WireContext, value: object) -> None:
        seen.append(value)
        if len(seen) == 35:
            raise Enough

    context = WireContext("127.0.0.1", reference_port, capabilities=frozenset(), seed="a", effort=4)
    explore(context, values(WIRE.vocabulary), check, examples=10)
    assert len(seen) == 35


def test_a_fault_that_shows_only_once_is_reported(reference_port):
    failed: list[object] = []

    def check(_: WireContext, value: object) -> None:
        if not failed:
            failed.append(value)
            raise CaseFailed("nothing", "something")

    context = WireContext("127.0.0.1", reference_port, capabilities=frozenset(), seed="a")
    with pytest.raises(CaseFailed, match="got something"):
        explore(context, values(WIRE.vocabulary), check, examples=10)


def test_an_error_of_a_check_is_no_finding(reference_port):
    def check(_: WireContext, value: object) -> None:
        raise TypeError("a mistake in the suite")

    context = WireContext("127.0.0.1", reference_port, capabilities=frozenset(), seed="a")
    with pytest.raises(TypeError, match="a mistake in the suite"):
        explore(context, values(WIRE.vocabulary), check, examples=10)


@pytest.mark.thorough
def test_shrinking_against_a_silent_target_ends_in_time(monkeypatch):
    monkeypatch.setattr(explore_module, "SHRINKING_S", 0.2)

    def check(context: WireContext, value: object) -> None:
        context.connect().request(2, b"\xff\xff" + context.key().encode())

    with serving(broken.Hangs()) as port:
        context = WireContext(
            "127.0.0.1", port, capabilities=frozenset(), seed="a", reply_timeout_s=0.1
        )
        with pytest.raises(CaseFailed, match="nothing within"):
            explore(context, values(WIRE.vocabulary), check, examples=100)


def test_walks_name_clauses_of_the_ledger_that_the_model_knows():
    ledger = {clause.id: clause for clause in clauses()}
    for table in (wire_walks.WALKS, wire_walks.TTL_WALKS):
        for operation, ids in table.items():
            assert operation in OPERATIONS
            for clause in ids:
                assert ledger[clause].level == "MUST"
                assert set(ledger[clause].needs) <= {operation, "lock"}


def test_a_menu_has_every_way_to_ask_once():
    for name in OPERATIONS:
        asked = menu(name, SMALL_VALUES)
        assert asked
        assert len({repr(action) for action in asked}) == len(asked)
