"""Tasks, groups, chords and chains with real parts: broker, result server, prefork worker.

The gate runs them with a window, where a result is stored later than its task ends; ``nox -s
thorough`` also without, as the app of the how-to runs in the gate.
"""

from __future__ import annotations

import os
import signal
import time

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError, TimeoutError
from celery.result import ResultSet

from tests.celery_backend.celery_parts import (
    WAIT_S,
    app_for,
    broker,
    result_server,
    signature,
    worker,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

SETTINGS = {
    "result_backend_always_retry": True,
    "result_expires": 600,
    "task_track_started": True,
}


@pytest.fixture(scope="module")
def broker_url():
    with broker() as url:
        yield url


@pytest.fixture(scope="module")
def server():
    with result_server() as running:
        yield running


WINDOWS = [
    pytest.param(0, marks=pytest.mark.thorough, id="each-at-once"),
    pytest.param(0.001, id="in-windows"),
]


@pytest.fixture(scope="module", params=WINDOWS)
def app(request, broker_url, server):
    """An app with a worker of two processes, without a window and with one of a millisecond."""
    settings = {**SETTINGS, "result_backend_transport_options": {"batch_window": request.param}}
    backend_url = server.url()
    queue = {"task_default_queue": f"window-{request.param}"}
    with worker(broker_url, backend_url, settings | queue):
        yield app_for(broker_url, backend_url, settings | queue)


def test_a_thousand_tasks(app):
    sent = [signature(app, "add", number, 1).delay() for number in range(1000)]
    assert [one.get(timeout=WAIT_S) for one in sent] == list(range(1, 1001))
    assert all(one.state == "SUCCESS" for one in sent)
    again = dict(app.backend.get_many([one.id for one in sent]))
    assert [again[one.id]["result"] for one in sent] == list(range(1, 1001))


def test_groups_of_a_hundred_join_in_batches(app, monkeypatch):
    asked = []
    backend = app.backend
    mget = backend.mget
    monkeypatch.setattr(backend, "mget", lambda keys: (asked.append(len(keys)), mget(keys))[1])
    result = group(signature(app, "add", number, number) for number in range(100)).apply_async()
    assert result.get(timeout=WAIT_S) == [2 * number for number in range(100)]
    assert asked[0] == 100 and len(asked) < 100
    results = ResultSet([signature(app, "add", n, 0).delay() for n in range(100)], app=app)
    assert results.join_native(timeout=WAIT_S) == list(range(100))


def test_a_saved_group_is_restored(app):
    result = group(signature(app, "add", number, 1) for number in range(3)).apply_async()
    result.save(backend=app.backend)
    restored = app.GroupResult.restore(result.id, backend=app.backend)
    assert restored.get(timeout=WAIT_S) == [1, 2, 3]
    restored.delete(backend=app.backend)
    assert app.GroupResult.restore(result.id, backend=app.backend) is None


def test_chords_of_a_hundred(app):
    header = [signature(app, "add", number, 0) for number in range(100)]
    chords = [chord(header, app=app)(signature(app, "total")) for _ in range(3)]
    assert [one.get(timeout=WAIT_S) for one in chords] == [4950] * 3


def test_a_chord_with_a_failing_part_names_it(app):
    header = [signature(app, "add", 1, 1), signature(app, "fail", "part 2")]
    result = chord(header, app=app)(signature(app, "total"))
    with pytest.raises(Exception, match="part 2"):
        result.get(timeout=WAIT_S)


def test_chains(app):
    result = chain(
        signature(app, "add", 1, 2), signature(app, "add", 3), signature(app, "add", 4)
    )()
    assert result.get(timeout=WAIT_S) == 10
    assert result.parent.get(timeout=WAIT_S) == 6


def test_a_failing_task_has_its_exception_and_traceback(app):
    result = signature(app, "fail", "no such luck: ünïcödé").delay()
    with pytest.raises(ValueError, match="no such luck: ünïcödé"):
        result.get(timeout=WAIT_S)
    assert result.state == "FAILURE"
    assert "in fail" in result.traceback and "ValueError" in result.traceback


def test_a_revoked_task_has_the_state_revoked(app):
    result = signature(app, "add", 1, 1).apply_async(countdown=2)
    app.control.revoke(result.id)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=WAIT_S)
    assert result.state == "REVOKED"


def test_an_expired_task_raises_revoked(app):
    result = signature(app, "add", 1, 1).apply_async(expires=-1)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=WAIT_S)


def test_a_result_of_ten_megabytes(app):
    size = 10_000_000
    results = [signature(app, "text_of", size).delay() for _ in range(8)]
    got = dict(app.backend.get_many([one.id for one in results], timeout=4 * WAIT_S))
    assert len(got) == 8  # Together over the 64 MiB of a reply.
    assert all(meta["result"] == "é" * (size // 2) for meta in got.values())


def test_a_result_that_no_server_takes_is_a_failure_with_its_size(app):
    result = signature(app, "text_of", 70_000_000).delay()
    with pytest.raises(Exception, match="bytes cannot be stored"):
        result.get(timeout=WAIT_S)
    assert result.state == "FAILURE"


def test_long_task_ids_keep_their_results(app):
    names = ["t" * 300, "t" * 301, "任務" * 60]
    sent = [signature(app, "add", n, 0).apply_async(task_id=name) for n, name in enumerate(names)]
    assert [one.get(timeout=WAIT_S) for one in sent] == [0, 1, 2]
    got = dict(app.backend.get_many(names))
    assert [got[name]["result"] for name in names] == [0, 1, 2]
    sent[0].forget()
    assert app.AsyncResult(names[0]).state == "PENDING"
    assert app.AsyncResult(names[1]).state == "SUCCESS"


def test_forget_and_waiting_for_nothing(app):
    result = signature(app, "add", 1, 1).delay()
    assert result.get(timeout=WAIT_S) == 2
    result.forget()
    assert app.AsyncResult(result.id).state == "PENDING"
    with pytest.raises(TimeoutError):
        app.AsyncResult(result.id).get(timeout=0.3)


def test_no_connection_is_shared_over_the_fork(app):
    """Each process of the pool has a connection of its own."""
    found = {}
    end = time.monotonic() + WAIT_S
    while len(found) < 2 and time.monotonic() < end:
        results = [signature(app, "connections").delay() for _ in range(8)]
        found |= dict(one.get(timeout=WAIT_S) for one in results)
    first, second = found.values()
    assert first and second and not set(first) & set(second)


def test_a_process_killed_in_its_task_fails_that_task_alone(app):
    victim = signature(app, "sleep", 60).delay()
    others = [signature(app, "add", number, 0).delay() for number in range(50)]
    [one.get(timeout=WAIT_S) for one in others]
    wait_until(lambda: victim.state == "STARTED")
    os.kill(victim.info["pid"], signal.SIGKILL)
    with pytest.raises(Exception, match="SIGKILL"):
        victim.get(timeout=WAIT_S)
    more = [signature(app, "add", number, 1).delay() for number in range(50)]
    assert [one.get(timeout=WAIT_S) for one in more] == list(range(1, 51))


@pytest.mark.thorough
def test_a_worker_killed_whole_loses_no_task_that_is_acknowledged_late(broker_url, server):
    """Another worker takes its tasks; no result is wrong, none is missing."""
    settings = {
        **SETTINGS,
        "task_default_queue": "killed-whole",
        "task_acks_late": True,
        "broker_transport_options": {
            "visibility_timeout": 3,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    }
    url = server.url()
    app = app_for(broker_url, url, settings)
    naps_s = [0.02 + number / 1e6 for number in range(100)]
    who = signature(app, "processes").delay()
    sent = [signature(app, "sleep", nap_s).delay() for nap_s in naps_s]
    with worker(broker_url, url, settings):
        child, parent = who.get(timeout=WAIT_S)
        sent[10].get(timeout=WAIT_S)
        for pid in parent, child:
            os.kill(pid, signal.SIGKILL)
    states = {app.AsyncResult(one.id).state for one in sent}
    assert {"SUCCESS", "PENDING"} <= states <= {"SUCCESS", "PENDING", "STARTED"}
    with worker(broker_url, url, settings):
        assert [one.get(timeout=2 * WAIT_S) for one in sent] == naps_s


def test_two_apps_in_two_namespaces_do_not_see_each_other(broker_url, server, app):
    other = app_for(broker_url, server.url(), SETTINGS)
    result = signature(app, "add", 1, 1).apply_async(task_id="same-id")
    assert result.get(timeout=WAIT_S) == 2
    assert other.AsyncResult("same-id").state == "PENDING"
    other.backend.store_result("same-id", "theirs", "SUCCESS")
    assert other.AsyncResult("same-id").get(timeout=WAIT_S) == "theirs"
    assert app.AsyncResult("same-id").get(timeout=WAIT_S) == 2
    result.forget()


def test_results_expire(server):
    app = app_for("memory://", server.url(), {"result_expires": 1})
    app.backend.store_result("brief", 1, "SUCCESS")
    app.backend.store_result("failed", ValueError("x"), "FAILURE")
    assert app.AsyncResult("brief").state == "SUCCESS"
    time.sleep(1.2)
    assert app.AsyncResult("failed").state == "PENDING"
    app.backend._cache.clear()
    assert app.AsyncResult("brief").state == "PENDING"


@pytest.mark.parametrize("window_s", WINDOWS)
def test_a_server_that_starts_anew_in_the_middle_gives_no_wrong_result(broker_url, window_s):
    """Results of before are gone, for it keeps nothing; those of after are right, none is lost."""
    settings = {
        **SETTINGS,
        "task_default_queue": f"restart-{window_s}",
        "result_backend_transport_options": {"batch_window": window_s},
    }
    with result_server() as own:
        url = own.url()
        with worker(broker_url, url, settings):
            app = app_for(broker_url, url, settings)
            early = [signature(app, "add", number, 1).delay() for number in range(100)]
            assert [one.get(timeout=WAIT_S) for one in early] == list(range(1, 101))
            late = [signature(app, "sleep", 0.01).delay() for _ in range(50)]
            own.stop()
            late += [signature(app, "add", number, 2).delay() for number in range(50)]
            time.sleep(1)
            own.start()
            assert [one.get(timeout=WAIT_S) for one in late[50:]] == list(range(2, 52))
            app.backend._cache.clear()
            states = [app.AsyncResult(one.id).state for one in early]
            assert set(states) == {"PENDING"}


def test_without_retries_a_dead_server_is_a_clear_error(server):
    with result_server() as own:
        app = app_for("memory://", own.url(), {"result_backend_transport_options": {
            "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.1},
        }})  # fmt: skip
        app.backend.store_result("here", 1, "SUCCESS")
    with pytest.raises(ConnectionError, match="is a server running there"):
        app.AsyncResult("here").get(timeout=WAIT_S)
    with pytest.raises(ConnectionError, match="is a server running there"):
        app.backend.store_result("there", 1, "SUCCESS")
