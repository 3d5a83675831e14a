"""Whole runs, with real workers: records in order, and every way to end early keeps its rounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kvbench.bench.contention import descendants
from kvbench.bench.events import KeysLeft, Progressed, Recorded, Warned
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.plan import Settings
from kvbench.bench.runner import DEATHS_MAX, Ending, run
from kvbench.client import SyncKvClient
from kvbench.errors import KvConnectionError, UsageError
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.model import BatchOperation
from kvbench.results import Cell, Collection, Footer, Header, Round
from tests.bench.bench_targets import make_plan, run_plan
from tests.waiting import is_running, wait_until
from tests.worker_adapters import publish

FAST = Settings(rounds=3, blocks=2, sample_ns=200_000, keep_awake=False)

ADAPTER = '''
"""Dicts that end their process, or lose their connection, at the n-th opening."""

import os
from pathlib import Path

from kvbench.backend import Backend
from kvbench.errors import KvConnectionError


class Dict(Backend):
    @classmethod
    def open(cls, url):
        counter = Path(os.environ["OPENINGS"])
        opening = int(counter.read_text()) + 1
        counter.write_text(str(opening))
        return cls(opening, [int(one) for one in url.partition("://")[2].split(",") if one])

    def __init__(self, opening, bad):
        self.data = {}
        self.is_bad = opening in bad or 0 in bad and opening > 1

    def close(self):
        pass

    def get(self, key):
        return self.data.get(key)

    def set(self, key, value, ttl=None):
        self.data[key] = value

    def delete(self, key):
        return self.data.pop(key, None) is not None

    def exists(self, key):
        return key in self.data


class Dying(Dict):
    def get(self, key):
        if self.is_bad:
            os.kill(os.getpid(), 9)
        return super().get(key)


class Vanishing(Dict):
    def get(self, key):
        if self.is_bad:
            raise KvConnectionError("connection reset")
        return super().get(key)


class Chatty(Dict):
    def get(self, key):
        print("hello from an adapter")
        return super().get(key)
'''


@pytest.fixture
def adapters(tmp_path, monkeypatch):
    """Backends that workers find, as a third party's package is found: by its entry points."""
    module = tmp_path / "bad_adapters.py"
    module.write_text(ADAPTER)
    publish(tmp_path, monkeypatch, module, dying="Dying", vanishing="Vanishing", chatty="Chatty")
    openings = tmp_path / "openings"
    openings.write_text("0")
    monkeypatch.setenv("OPENINGS", str(openings))


@pytest.fixture
def server():
    found = LocalServer(OWN_SERVER)
    try:
        yield "kvb://" + found.wait_for_line("listening on").split()[-1]
    finally:
        found.stop()


@pytest.fixture(autouse=True)
def no_process_stays():
    yield
    wait_until(lambda: not descendants(), "a process of the test is still there")


def records(events, kind=object):
    return [e.record for e in events if isinstance(e, Recorded) and isinstance(e.record, kind)]


def results_of(events):
    collection = Collection()
    for record in records(events):
        collection.add(record)
    return collection.results()


def test_a_run_measures_every_cell_in_rounds():
    plan = make_plan(
        "memory://", "kvb://", operations=BatchOperation, batch_sizes=(1, 100), settings=FAST
    )
    outcome, events = run_plan(plan)
    assert (outcome.ending, outcome.failed_cells) == (Ending.COMPLETE, 0)
    assert isinstance(records(events)[0], Header)
    assert isinstance(records(events)[-1], Footer)
    results = results_of(events)
    assert [one.number for one in results.rounds] == [1, 2, 3]
    assert len(results.cells) == results.footer.cells == 16
    for cell in results.cells:
        assert (cell.reason, cell.rounds) == ("", 3)
        assert len(cell.arms["batch"].ns_per_key.rounds) == 3
        assert cell.speedup.low <= cell.speedup.estimate <= cell.speedup.high
    assert {curve.target for curve in results.curves} == {"memory://", "kvb://"}
    assert results.baselines.round_trip_apart_ns.estimate > 1_000
    assert [target.is_network for target in results.targets] == [False, True]
    assert all(target.self_ratio is not None for target in results.targets)


@pytest.mark.parametrize(
    "url",
    [
        "kvb://",
        *[pytest.param(one, marks=pytest.mark.thorough) for one in ("kvb+async://", "valkey://")],
    ],
)
def test_network_targets_that_can_pipeline_have_three_arms(url):
    _, events = run_plan(make_plan(url, settings=replace(FAST, rounds=2)))
    [cell] = results_of(events).cells
    assert set(cell.arms) == {"individual", "pipelined", "batch"}
    assert set(cell.ratios) == {
        "individual/batch", "individual/pipelined", "pipelined/batch",
    }  # fmt: skip
    if url == "kvb://":
        assert cell.round_trips == pytest.approx(1.0, abs=0.3)
        assert cell.round_trips_at == 10


def test_an_added_round_trip_shows_once_in_each_arm():
    far_settings = replace(FAST, rounds=2, rtt_ns=2_000_000, sample_ns=10_000_000)
    far = results_of(run_plan(make_plan("kvb://", settings=far_settings))[1])
    for name, arm in far.cells[0].arms.items():
        trips = 1  # A single call, a flush and a batch are one round trip each.
        assert arm.call_ns.estimate > trips * 2_000_000, name


@pytest.mark.thorough
def test_private_servers_are_started_anew_each_round(monkeypatch, tmp_path):
    """Four servers: one while exploring, one in each of three rounds."""
    log = tmp_path / "starts"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'serve' in sys.argv or '-m' in sys.orig_argv and 'serve' in sys.orig_argv:\n"
        f"    open({str(log)!r}, 'a').write('x')\n"
    )
    run_plan(make_plan("kvb://", settings=FAST))
    # The guard of each server has its command in its arguments as well.
    assert len(log.read_text()) in (4, 8)


@pytest.fixture(scope="module")
def events_of_a_run():
    """Of one that measures two operations in process, in three rounds."""
    operations = (BatchOperation.MGET, BatchOperation.MDEL)
    return run_plan(make_plan("memory://", operations=operations, settings=FAST))[1]


def test_the_header_says_where_and_how(events_of_a_run):
    header = records(events_of_a_run, Header)[0]
    assert header.settings["batch_sizes"] == [10]
    assert header.environment["python"]
    assert header.environment["keep_awake"].startswith("off: not wanted")
    assert header.environment["placement"]


def test_progress_grows_and_says_what_is_measured(events_of_a_run):
    steps = [event for event in events_of_a_run if isinstance(event, Progressed)]
    assert any("memory:// mdel" in step.text for step in steps)
    assert all(0.0 <= step.share <= 1.0 and step.left_s >= 0.0 for step in steps)


def test_the_time_left_follows_from_the_rounds_that_are_done(events_of_a_run):
    """Not from the guess that was made before the first one."""
    events = events_of_a_run
    place = next(
        i for i, one in enumerate(events) if isinstance(getattr(one, "record", None), Round)
    )
    progress = [event for event in events[:place] if isinstance(event, Progressed)][-1]
    assert progress.text == "round 1 done"
    assert progress.share == pytest.approx(1 / FAST.rounds)
    assert progress.left_s == pytest.approx(2 * events[place].record.elapsed_s)


def test_cells_are_written_again_with_each_round(events_of_a_run):
    cells = [cell for cell in records(events_of_a_run, Cell) if cell.op == "mget"]
    assert [cell.rounds for cell in cells] == [0, 1, 2, 3, 3]
    nothing_yet, one_round, *_ = cells
    assert nothing_yet.reason == "no round was finished"
    assert (one_round.reason, one_round.speedup.low) == ("", None)


def test_a_worker_that_dies_loses_its_round_and_not_the_run(adapters):
    outcome, events = run_plan(make_plan("dying://3", settings=FAST))
    assert outcome.ending is Ending.COMPLETE
    results = results_of(events)
    assert [bool(one.reason) for one in results.rounds] == [False, True, False]
    assert "ended by signal 9" in results.rounds[1].reason
    assert [cell.rounds for cell in results.cells] == [2]
    [warning] = [event.text for event in events if isinstance(event, Warned)]
    assert warning.startswith("round 2 is lost: its worker process ended by signal 9")


def test_a_private_server_that_dies_loses_its_round_and_not_the_run():
    events, killed = [], []

    def observe(event):
        events.append(event)
        if isinstance(event, Progressed) and len(records(events, Round)) == 1 and not killed:
            killed.extend(private_servers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    plan = make_plan("kvb://", operations=BatchOperation, settings=replace(FAST, rounds=4))
    outcome = run(plan, observe, Interrupts(), "")
    assert killed
    assert outcome.ending is Ending.COMPLETE
    results = results_of(events)
    assert [bool(one.reason) for one in results.rounds] == [False, True, False, False]
    assert {cell.rounds for cell in results.cells} == {3}


def private_servers():
    """The servers that workers of this process have started, not the guards before them."""
    found = []
    for pid in descendants():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"serve" in words and b"kvbench.local_server" not in words:
            found.append(pid)
    return found


def test_workers_that_always_die_end_the_run(adapters):
    plan = make_plan("dying://0", settings=replace(FAST, rounds=20))
    outcome, events = run_plan(plan)
    assert outcome.ending is Ending.TARGET_LOST
    assert outcome.reason.startswith(f"{DEATHS_MAX} rounds in a row were lost")
    assert len(records(events, Round)) == DEATHS_MAX


def test_a_worker_that_dies_while_exploring_is_an_error(adapters):
    with pytest.raises(KvConnectionError, match="could not be tried: its worker process ended by"):
        run_plan(make_plan("dying://1", settings=FAST))


def test_a_target_that_is_lost_ends_the_run_and_keeps_its_rounds(adapters):
    outcome, events = run_plan(make_plan("vanishing://3", settings=FAST))
    assert outcome.ending is Ending.TARGET_LOST
    assert outcome.reason == "vanishing://3: connection reset"
    results = results_of(events)
    assert [cell.rounds for cell in results.cells] == [1]
    assert (results.footer.outcome, results.footer.reason) == ("interrupted", outcome.reason)


def test_what_an_adapter_prints_does_not_get_between_the_messages(adapters, capfd):
    outcome, _ = run_plan(make_plan("chatty://", settings=replace(FAST, rounds=2)))
    assert outcome.ending is Ending.COMPLETE
    assert "hello" not in capfd.readouterr().out


def test_a_target_that_cannot_be_reached_stops_the_run_before_anything_is_recorded():
    events = []
    plan = make_plan("memory://", "kvb://127.0.0.1:1", settings=FAST)
    with pytest.raises(KvConnectionError, match=r"kvb://127\.0\.0\.1:1: "):
        run(plan, events.append, Interrupts(), "")
    assert records(events) == []


def test_a_url_that_makes_no_sense_is_the_users_mistake():
    with pytest.raises(UsageError, match="takes neither host nor path"):
        run_plan(make_plan("memory://somewhere", settings=FAST))


@pytest.mark.thorough
def test_a_precision_is_reached_or_the_missing_cells_are_named():
    easy = replace(FAST, precision=1.0, max_time_s=60.0)
    _, events = run_plan(make_plan("memory://", settings=easy))
    results = results_of(events)
    assert len(results.rounds) >= 5
    assert results.footer.missed == []
    hard = replace(FAST, precision=0.001, max_time_s=0.5)
    _, events = run_plan(make_plan("memory://", settings=hard))
    results = results_of(events)
    assert len(results.rounds) >= 5
    assert results.footer.missed == ["memory:// mget 10"]


def test_ctrl_c_keeps_finished_rounds_and_removes_keys(server):
    interrupts = Interrupts()
    events = []

    def observe(event):
        events.append(event)
        if isinstance(event, Progressed) and len(records(events, Round)) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    plan = make_plan(server, operations=BatchOperation, settings=replace(FAST, rounds=50))
    with interrupts.installed(lambda: None):
        outcome = run(plan, observe, interrupts, "")
    assert outcome.ending is Ending.INTERRUPTED
    results = results_of(events)
    assert {cell.rounds for cell in results.cells} <= {1, 2}
    assert results.footer.outcome == "interrupted"
    assert not [event for event in events if isinstance(event, KeysLeft)]
    assert entries(server) == 0


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *[pytest.param(one, marks=pytest.mark.thorough) for one in (signal.SIGHUP, signal.SIGKILL)],
    ],
)
def test_a_run_that_is_ended_from_outside_leaves_no_key_and_no_process(server, number, tmp_path):
    before = set(descendants())
    options = ("--quick", "--rounds", "50", "--batch-sizes", "10,100")
    command = [sys.executable, "-m", "kvbench", "run", server, *options]
    with subprocess.Popen(
        [*command, "--output", tmp_path / "r.jsonl"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert "round 1 done" in process.stderr.readline()
        started = set(descendants()) - before
        process.send_signal(number)
        process.wait(20)
    wait_until(lambda: entries(server) == 0, "keys are left")
    wait_until(lambda: not any(map(is_running, started)), "a process is left")


def entries(server):
    with SyncKvClient.connect(server) as client:
        return client.info()["entries"]
