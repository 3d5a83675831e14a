"""The two lines that a backend under development needs: how it is opened."""

import tempfile

import pytest
from pigeonhole import PigeonholeBackend

FOLDER = tempfile.mkdtemp(prefix="pigeonhole-")


@pytest.fixture(scope="session")
def kvbench_backend():
    return lambda: PigeonholeBackend.open(f"pigeonhole://{FOLDER}")
