"""The other pools of a worker: threads, gevent, eventlet where it runs, and none (solo)."""

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


@pytest.mark.parametrize("window_s", [0, 0.001])
@pytest.mark.parametrize("pool", ["threads", "gevent", "eventlet", "solo"])
def test_a_pool(pool, window_s):
    settings = {"result_backend_transport_options": {"batch_window": window_s}}
    with broker() as broker_url, result_server() as server:
        url = server.url()
        app = app_for(broker_url, url, settings)
        with worker(broker_url, url, settings, pool=pool, concurrency=20):
            sent = [signature(app, "add", number, 1).delay() for number in range(200)]
            assert [one.get(timeout=WAIT_S) for one in sent] == list(range(1, 201))
            naps = [signature(app, "sleep", 0.05).delay() for _ in range(20)]
            assert [one.get(timeout=WAIT_S) for one in naps] == [0.05] * 20
