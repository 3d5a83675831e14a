"""A skip says why. Where everything must be there (KVBENCH_REQUIRE_ALL, as in CI) it fails.

Ctrl-C works in the tests, wherever they were started from.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is under a shell that put the tests in the background: a Ctrl-C would do nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
