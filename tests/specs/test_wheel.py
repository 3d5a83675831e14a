"""A wheel carries the specs: an installed kvbench reads what a checkout does."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

from kvbench import specs
from tests.wheels import kvbench_wheel


def test_specs_are_read_from_an_installed_wheel(tmp_path):
    unpacked = tmp_path / "unpacked"
    environment = {**os.environ, "KVBENCH_PURE": "1", "PYTHONPATH": str(unpacked)}
    wheel = kvbench_wheel(tmp_path)
    zipfile.ZipFile(wheel).extractall(unpacked)
    ask = (
        "from kvbench import specs;"
        "print(specs.directory(), len(specs.clauses()), len(specs.vectors()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert found == [
        str(unpacked / "kvbench_specs"),
        str(len(specs.clauses())),
        str(len(specs.vectors())),
    ]
