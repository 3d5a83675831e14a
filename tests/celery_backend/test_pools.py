"""The other pools of a worker: threads, gevent, eventlet where it runs, and none (solo).

The gate takes each with a window, which has a thread of its own; ``nox -s thorough`` also without.
"""

from __future__ import annotations

import pytest

from tests.celery_backend.celery_parts import (
    WAIT_S,
    app_for,
    broker,
    result_server,
    signature,
    worker,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def broker_url():
    with broker() as url:
        yield url


@pytest.fixture(scope="module")
def server():
    with result_server() as running:
        yield running


@pytest.mark.parametrize("window_s", [pytest.param(0, marks=pytest.mark.thorough), 0.001])
@pytest.mark.parametrize(
    "pool",
    [
        "gevent",
        *[pytest.param(one, marks=pytest.mark.thorough) for one in ("threads", "eventlet", "solo")],
    ],
)
def test_a_pool(broker_url, server, pool, window_s):
    url = server.url()
    settings = {
        "task_default_queue": f"{pool}-{window_s}",
        "result_backend_transport_options": {"batch_window": window_s},
    }
    app = app_for(broker_url, url, settings)
    with worker(broker_url, url, settings, pool=pool, concurrency=20):
        sent = [signature(app, "add", number, 1).delay() for number in range(200)]
        assert [one.get(timeout=WAIT_S) for one in sent] == list(range(1, 201))
        naps = [signature(app, "sleep", 0.05).delay() for _ in range(20)]
        assert [one.get(timeout=WAIT_S) for one in naps] == [0.05] * 20
