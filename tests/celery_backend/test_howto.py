"""The how-to of docs/celery, as written: its app, its worker, its program. And its recipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench.local_server import LocalServer
from tests.celery_backend.celery_parts import broker, result_server

DOCS = Path(__file__).parents[2] / "docs" / "celery"

pytestmark = pytest.mark.timeout(180)


def test_the_app_of_the_how_to_runs(tmp_path):
    text = (DOCS / "README.md").read_text()
    app, program = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [start] = re.findall(r"^celery -A tasks worker$", text, re.MULTILINE)
    with broker() as broker_url, result_server() as server:
        app = app.replace("redis://127.0.0.1:6379/0", broker_url)
        (tmp_path / "tasks.py").write_text(app.replace("16380", str(server.port)))
        (tmp_path / "program.py").write_text(program)
        environment = {"PYTHONPATH": str(tmp_path), "C_FORCE_ROOT": "1"}
        command = ["env", *[f"{name}={value}" for name, value in environment.items()]]
        worker = LocalServer([*command, sys.executable, "-m", *start.split(), "-l", "INFO"])
        try:
            worker.wait_for_line(" ready.", timeout_s=60)
            ended = subprocess.run(
                [sys.executable, "program.py"], cwd=tmp_path, env={**os.environ, **environment},
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
        finally:
            worker.stop()
    assert ended.stdout == f"{sum(2 * number for number in range(100))}\n", ended.stderr


@pytest.mark.thorough  # Measures for a minute.
def test_the_recipe_measures_and_writes_its_report(tmp_path):
    command = [sys.executable, DOCS / "measure.py", "--rounds", "2", "--blocks", "1", "--rtt", "0"]
    ended = subprocess.run(
        [*command, "--output", tmp_path / "out"], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    report = (tmp_path / "out" / "report.md").read_text()
    assert report == ended.stdout
    for row in ("fetch 100 results | kvb", "store 100 results | redis", "chord of 100 | kvb"):
        [line] = [line for line in report.splitlines() if line.startswith(f"| {row}")]
        assert re.search(r"\d ms ±", line)
