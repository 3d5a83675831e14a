"""A skip says why. Where everything must be there (KVBENCH_REQUIRE_ALL, as in CI) it fails."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


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
