"""What holds for all tests: which are slow, how many examples are drawn, and what a skip is.

A skip says why. Where everything must be there (KVBENCH_REQUIRE_ALL, as in CI) it fails.

Ctrl-C works in the tests, wherever they were started from.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

# An example has no deadline: a busy machine, or a tracer, would fail it.
settings.register_profile("whole", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=25)
settings.load_profile("brief")

SLOW = (
    "tests/test_docs.py", "tests/celery_backend/", "tests/integration/", "tests/mutants/",
    "tests/mutation/", "tests/method/", "tests/bench/test_killed.py",
    "tests/bench/test_runner.py", "tests/load/test_cluster.py",
    "tests/cli/test_secrets.py", "tests/conformance/test_foreign_keys.py",
    "tests/server/test_out_of_memory.py", "tests/specs/test_wheel.py",
)  # fmt: skip
"""Tests that install, build, or work for many seconds. They begin first, so that none is last."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is under a shell that put the tests in the background: a Ctrl-C would do nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests and put them first, in the order of :data:`SLOW`."""
    place = {path: number for number, path in enumerate(SLOW)}

    def rank(item: pytest.Item) -> int:
        return min(
            [place[path] for path in SLOW if item.nodeid.startswith(path)], default=len(SLOW)
        )

    items.sort(key=rank)
    for item in items:
        if rank(item) < len(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where nothing may be skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("KVBENCH_REQUIRE_ALL"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and KVBENCH_REQUIRE_ALL is set: {report.longrepr}"
    return report
