"""Celery's own tests for key-value backends, on our backend and a real server.

They come with Celery's source distribution of the version that is installed. In them the class
``KVBackend``, a dict behind ``KeyValueStoreBackend``, is replaced by ``OnServer``; nothing else
is changed. ``LEFT_OUT`` names each test that is not run, and why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.celery_backend.celery_parts import result_server

pytestmark = pytest.mark.timeout(300)

CLASSES = (
    "test_KeyValueStoreBackend",
    "test_result_compression",
    "test_result_compression_binary_serializer",
    "test_failure_expires_support",
)

LEFT_OUT = {
    "test_on_chord_part_return": "asserts that the backend cannot count",
    "test_chord_part_return_restore": "mocks a request without an id; ours counts in another way",
    "test_chord_part_return_timeout": "the same",
    "test_chord_part_return_propagate": "the same",
    "test_chord_part_return_join_raises": "the same",
    "test_chord_apply_fallback": "takes away that the backend counts, after it was made",
    "test_get_many__does_not_sleep_past_the_timeout":
        "adds up the naps of a mocked sleep; ours begin short, and the clock counts",
    "test_get_many__ids_completing_on_the_deadline_is_not_a_timeout":
        "wants one nap of the whole interval; ours begin short",
    "test_stores_compressed_and_reads_back_older_results": "looks into the dict of their class",
    "test_store_and_get_binary_result": "looks into the dict of their class",
    "test_ignored_when_the_backend_cannot_store_bytes": "ours can",
    "test_warns_when_the_backend_does_not_support_it": "ours does",
}  # fmt: skip

PLUGIN = '''
import os
import uuid

from kvbench.celery import KvbBackend


class OnServer(KvbBackend):
    """One namespace for each backend, as each of Celery's had a dict of its own."""

    def __init__(self, app, *args, **kwargs):
        kwargs.setdefault("url", f"{os.environ['TEST_SERVER']}/{uuid.uuid4().hex}")
        super().__init__(app=app, *args, **kwargs)


import t.unit.backends.test_base as theirs

theirs.KVBackend = theirs.CompressingKVBackend = OnServer
# The default of a parameter was bound before.
theirs.test_result_compression.backend.__defaults__ = (None, OnServer)
'''


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Celery's source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("celery")
    name = f"celery=={version('celery')}"
    command = ["pip", "download", "-q", "--no-deps", "--no-binary", "celery", "-d", folder, name]
    ended = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=200
    )
    if ended.returncode:
        pytest.skip(f"no source distribution of {name}: {ended.stderr[-300:]}")
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    [unpacked] = [one for one in folder.iterdir() if one.is_dir()]
    # The package itself is the installed one; here are only the tests.
    (unpacked / "celery").rename(unpacked / "celery-of-the-source")
    (unpacked / "on_server.py").write_text(PLUGIN)
    return unpacked


@pytest.mark.thorough
def test_celerys_own_tests_pass(source: Path):
    chosen = [f"t/unit/backends/test_base.py::{name}" for name in CLASSES]
    left_out = " or ".join(LEFT_OUT)
    command = ["-m", "pytest", "-q", "-p", "on_server", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["-k", f"not ({left_out})", *chosen]
    with result_server() as server:
        environment = {
            **os.environ,
            "TEST_SERVER": server.url().rpartition("/")[0],
            "PYTHONPATH": str(source),
        }
        ended = subprocess.run(
            [sys.executable, *command], cwd=source, env=environment, timeout=250,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    print(ended.stdout[-3000:])
    assert ended.returncode == 0
    passed, deselected = re.search(r"(\d+) passed.* (\d+) deselected", ended.stdout).groups()
    assert int(passed) >= 48 and int(deselected) >= len(LEFT_OUT)
