"""The backend itself, in this process, on a server of ours."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest
from celery import Celery
from celery.exceptions import ImproperlyConfigured
from kombu.exceptions import EncodeError

from kvbench.celery import KvbBackend
from kvbench.celery.backend import LONG_KEY_PREFIX
from kvbench.client import KvTimeoutError, PoolTimeoutError, SyncKvClient
from tests.celery_backend.celery_parts import app_for, result_server, with_tests
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def server():
    with result_server() as running:
        yield running


@pytest.fixture
def url(server):
    return server.url()


def app_with(url, **options):
    return app_for("memory://", url, {"result_backend_transport_options": options})


def keys_of(url):
    with SyncKvClient.connect(url) as client:
        return client.info()["entries"]


def test_celery_finds_it_by_its_scheme(url):
    app = app_for("memory://", url)
    assert type(app.backend) is KvbBackend
    assert app.backend is app.backend, "one for all threads"
    assert app.backend.as_uri() == url


def test_the_default_address():
    app = Celery("default", broker="memory://", backend="kvb://", set_as_current=False)
    assert "kvb://" in KvbBackend(app=app).as_uri()


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("kvb://user:s3cr3tpass@host", {}, "no user, password or query"),
        ("kvb://host:port", {}, "is not a number"),
        ("kvb://host:99999", {}, "99999"),
        ("kvb://host/" + "n" * 200, {}, "choose a shorter one"),
        ("kvb://host", {"batch_window": -1}, "batch_window"),
        ("kvb://host", {"batch_window": "1ms"}, "batch_window"),
        ("kvb://host", {"max_connections": 0}, "max_connections"),
        ("kvb://host", {"request_timeout": 0}, "request_timeout"),
        ("kvb://host", {"connect_timeout": "x"}, "connect_timeout"),
    ],
)
def test_invalid_options_are_refused_at_once(url, options, message):
    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        app_with(url, **options).backend  # noqa: B018 - it is made when it is read
    assert "s3cr3t" not in str(caught.value)


def test_an_expiry_over_ten_years_is_refused_at_once(url):
    with pytest.raises(ImproperlyConfigured, match="result backend"):
        app_for("memory://", url, {"result_expires": 20 * 366 * 86_400}).backend  # noqa: B018


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("value", [None, 1, "é\0", [1, {"a": None}], {"x": [1.5]}, "y" * 100_000])
def test_values_come_back_as_they_were(url, serializer, compression, value):
    settings = {
        "result_serializer": serializer,
        "accept_content": [serializer],
        "result_compression": compression,
    }
    app = app_for("memory://", url, settings)
    app.backend.store_result("id", value, "SUCCESS")
    assert app_for("memory://", url, settings).AsyncResult("id").get(timeout=5) == value


def test_a_pickled_exception_keeps_its_class_and_attributes(url):
    settings = {"result_serializer": "pickle", "accept_content": ["pickle"]}
    app = app_for("memory://", url, settings)
    app.backend.store_result("id", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"), "FAILURE")
    with pytest.raises(UnicodeDecodeError) as caught:
        app_for("memory://", url, settings).AsyncResult("id").get(timeout=5)
    assert caught.value.object == b"\xff"


def test_failures_can_have_another_expiry(url):
    app = app_for("memory://", url, {"result_expires": 500, "result_failure_expires": 50})
    app.backend.store_result("good", 1, "SUCCESS")
    app.backend.store_result("bad", ValueError(), "FAILURE")
    with SyncKvClient.connect(url) as client:
        assert 499 <= client.ttl("celery-task-meta-good") <= 500
        assert 49 <= client.ttl("celery-task-meta-bad") <= 50


def test_results_without_an_expiry(url):
    app = app_for("memory://", url, {"result_expires": None})
    app.backend.store_result("id", 1, "SUCCESS")
    with SyncKvClient.connect(url) as client:
        assert client.ttl("celery-task-meta-id") == -1


def test_a_key_that_does_not_fit_is_stored_under_its_hash(url):
    app = app_with(url)
    app.backend.store_result("i" * 250, "long", "SUCCESS")
    with SyncKvClient.connect(url) as client:
        digest = hashlib.sha256(b"celery-task-meta-" + b"i" * 250).hexdigest()
        assert "long" in client.get(LONG_KEY_PREFIX + digest)


def test_a_success_is_never_replaced(url):
    for options in ({}, {"batch_window": 0.001}):
        backend = app_with(url, **options).backend
        backend.store_result("id", 1, "SUCCESS")
        backend.flush()
        backend.store_result("id", ValueError(), "FAILURE")
        backend.flush()
        assert backend.get_result("id") == 1


def test_too_large_for_any_server(url):
    with pytest.raises(EncodeError, match=r"a result of 70,000,\d+ bytes cannot be stored"):
        app_with(url).backend.store_result("id", "x" * 70_000_000, "SUCCESS")


def test_a_backend_survives_pickling(url):
    app = app_with(url)
    app.set_current()
    backend = pickle.loads(pickle.dumps(KvbBackend(app=app, url=url, expires=7)))
    assert backend.as_uri() == url and backend.expires == 7


def test_threads_share_the_connections_and_wait_for_them(url):
    backend = app_with(url, max_connections=3).backend
    for number in range(20):
        backend.store_result(str(number), number, "SUCCESS")
    wrong = []

    def read(number):
        for _ in range(100):
            meta = backend._get_task_meta_for(str(number))
            if meta["result"] != number:
                wrong.append(meta)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert len(backend._connections._idle) <= 3


def test_no_free_connection_is_an_error_that_names_the_option(url):
    backend = app_with(url, max_connections=1, request_timeout=0.1).backend
    with backend._connections.acquire(), pytest.raises(PoolTimeoutError, match="max_connections"):
        backend.get("celery-task-meta-x")


def test_a_forked_child_has_its_own_connection_and_nothing_to_store(url):
    backend = app_with(url, batch_window=5).backend
    backend.store_result("parent's", 1, "SUCCESS")
    backend._call(SyncKvClient.ping)
    child = os.fork()
    if not child:
        good = not backend._writer._waiting and not backend._connections._idle
        backend.store_result("child's", 2, "SUCCESS")
        backend.flush()
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    fresh = app_with(url).backend
    assert fresh.get_state("parent's") == "PENDING" and fresh.get_result("child's") == 2
    backend.flush()
    assert fresh.get_result("parent's") == 1


# --- Windows -------------------------------------------------------------------------------------


def test_a_window_is_one_mget_and_one_mset(url):
    backend = app_with(url, batch_window=30).backend
    with SyncKvClient.connect(url) as client:
        before = client.info()["commands"]
        for number in range(100):
            backend.store_result(str(number), number, "SUCCESS")
        assert backend.get_result("7") == 7, "its own process sees it before"
        assert [meta["result"] for _, meta in backend.get_many(["1", "2"])] == [1, 2]
        backend.flush()
        after = client.info()["commands"]
    more = {name: after[name] - before.get(name, 0) for name in after}
    assert more["mset"] == 1 and more.get("set", 0) == 0 and more.get("get", 0) <= 1


def test_a_window_ends_by_itself(url):
    backend = app_with(url, batch_window=0.05).backend
    backend.store_result("id", 1, "SUCCESS")
    fresh = app_with(url).backend
    assert fresh.get_state("id") == "PENDING"
    assert fresh.wait_for("id", timeout=5)["result"] == 1


def test_a_state_that_waits_is_replaced_a_success_is_not(url):
    backend = app_with(url, batch_window=5).backend
    backend.store_result("id", None, "STARTED")
    backend.store_result("id", 1, "SUCCESS")
    backend.store_result("id", ValueError(), "FAILURE")
    backend.flush()
    assert app_with(url).backend.get_result("id") == 1


def test_counting_and_removing_come_after_what_waits(url):
    backend = app_with(url, batch_window=5).backend
    fresh = app_with(url).backend
    backend.store_result("part", 1, "SUCCESS")
    assert backend.incr("counter") == 1
    assert fresh.get_result("part") == 1
    backend.store_result("gone", 1, "SUCCESS")
    backend.forget("gone")
    assert fresh.get_state("gone") == "PENDING"


def test_more_than_a_window_holds_is_stored_early(url):
    backend = app_with(url, batch_window=30).backend
    for number in range(3500):
        backend.store_result(str(number), number, "SUCCESS")
    fresh = app_with(url).backend
    assert fresh.wait_for("0", timeout=10)["result"] == 0
    backend.flush()
    assert len(list(fresh.get_many(map(str, range(3500)), timeout=10))) == 3500


def test_what_a_window_could_not_store_is_tried_again(caplog):
    with result_server() as own:
        url = own.url()
        backend = app_with(url, batch_window=0.01).backend
        own.stop()
        with caplog.at_level(logging.WARNING, "kvbench.celery"):
            backend.store_result("id", 1, "SUCCESS")
            wait_until(lambda: "1 results wait to be stored" in caplog.text)
        own.start()
        backend.flush()
        assert app_with(url).backend.get_result("id") == 1


def test_what_cannot_be_stored_is_named_in_the_log(caplog):
    with result_server() as own:
        url = own.url()
    options = {"batch_window": 0.01, "request_timeout": 0.3}
    settings = {"result_backend_max_retries": 3, "result_backend_transport_options": options}
    backend = app_for("memory://", url, settings).backend
    with caplog.at_level(logging.ERROR, "kvbench.celery"):
        backend.store_result("lost-one", 1, "SUCCESS")
        wait_until(lambda: "lost-one" in caplog.text)
    assert "results are lost" in caplog.text


def test_waiting_for_a_dead_server_is_bounded_and_loses_nothing():
    with result_server() as own:
        backend = app_with(own.url(), batch_window=0.01, request_timeout=0.3).backend
        own.stop()
        backend.store_result("id", 1, "SUCCESS")
        with pytest.raises(KvTimeoutError, match="1 results wait"):
            backend.flush()
        own.start()
        wait_until(lambda: not backend._writer._storing)
        assert backend.get_result("id") == 1


CRASH = """
import os, signal, sys
from tests.celery_backend.celery_parts import app_for
app = app_for("memory://", sys.argv[1], {"result_backend_transport_options": {"batch_window": 60}})
app.backend.store_result("waits", 1, "SUCCESS")
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("end", "state"), [("killed", "PENDING"), ("in order", "SUCCESS")])
def test_a_killed_process_loses_its_window_and_no_other_does(url, end, state, tmp_path):
    run = [sys.executable, "-c", CRASH, url, end]
    code = subprocess.run(run, cwd=tmp_path, env=with_tests(), timeout=60, check=False).returncode
    assert code == (-signal.SIGKILL if end == "killed" else 0)
    assert app_with(url).backend.get_state("waits") == state


# --- Weight --------------------------------------------------------------------------------------


def test_a_worker_loads_the_client_and_nothing_more(tmp_path):
    code = """
import sys
from celery import Celery
app = Celery(broker="memory://", backend="kvb://127.0.0.1:1/x")
celerys = set(sys.modules)
app.backend
heavy = {"numpy", "rich", "click", "hypothesis", "jinja2", "kvbench.bench", "kvbench.conformance",
         "kvbench.server", "kvbench.engine", "kvbench.report"}
print(sorted(heavy & (set(sys.modules) - celerys)))
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert ended.stdout == "[]\n", ended.stderr
