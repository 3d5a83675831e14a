"""The app whose worker the tests start. Broker, backend and settings come from the environment."""

from __future__ import annotations

import json
import os
import time

from celery import Celery

app = Celery("celery_tasks", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    **json.loads(os.environ.get("TEST_SETTINGS", "{}")),
)


@app.task
def add(first, second):
    return first + second


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def text_of(size):
    return "é" * (size // 2)


@app.task
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task
def fail(message):
    raise ValueError(message)


@app.task
def processes():
    """The process of the task, and that of the worker."""
    return os.getpid(), os.getppid()


@app.task(bind=True)
def connections(self):
    """The process, and the local ports of the connections that its backend holds."""
    backend = self.backend
    list(backend.get_many([self.request.id], max_iterations=1))
    idle = backend._connections._idle
    return os.getpid(), [client._socket.getsockname()[1] for client in idle if client._socket]
