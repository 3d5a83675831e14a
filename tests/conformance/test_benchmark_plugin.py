"""The fixtures for pytest-benchmark, used as authors use them: in a separate directory.

Benchmarks are disabled in most of these tests: each call then runs once, on the real store.
"""

from __future__ import annotations

from importlib.metadata import distributions

import pytest
from kvbench_backends import memory, wire

from kvbench.benchmarks import plugin, store

pytest_plugins = ["pytester"]

LOADED = (plugin, store, memory, wire)
"""Before the runs of this process, each of which forgets what it has imported itself."""

# As pytest looks: an installed kvbench may be older than this checkout.
IS_REGISTERED = any(
    point.value == "kvbench.benchmarks.plugin"
    for distribution in distributions()
    for point in distribution.entry_points
)
PLUGINS = [] if IS_REGISTERED else ["-p", "kvbench.benchmarks.plugin"]
MDEL = """
def test_mdel(kvbench_batch):
    kvbench_batch("mdel", 10)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a module's tests: exit code and output."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # pytest-benchmark would be disabled.

    def call(module, *args):
        (pytester.path / "test_speed.py").write_text(module)
        words = [*PLUGINS, "-p", "no:cacheprovider", "-p", "no:timeout", "test_speed.py", *args]
        done = pytester.runpytest_inprocess(*words)
        return done.ret, f"{done.stdout}{done.stderr}"

    return call


def target(url):
    return ("--kvbench-target", url)


def test_keys_are_removed_and_expire_if_the_process_is_killed(run, pytester):
    module = """
def test_stored(kvbench_store):
    keys = kvbench_store.stored(3)
    assert kvbench_store.backend.mexists(keys) == [True] * 3
    assert all(0 < kvbench_store.backend.ttl(key) <= 3600 for key in keys)
    assert all(key.startswith("kb:") for key in keys)

KEYS = []

def test_mset(kvbench_batch, kvbench_store):
    KEYS.extend(kvbench_store.keys(5))
    kvbench_batch("mset", 5)
    assert kvbench_store.backend.mexists(KEYS) == [True] * 5

def test_nothing_remains(kvbench_store):
    assert kvbench_store.backend.mexists(KEYS) == [False] * 5
"""
    code, output = run(module, *target("memory://"), "--benchmark-disable")
    assert code == 0, output
    assert "3 passed" in output


def test_a_backend_under_development_whose_batch_lies_is_not_measured(run, pytester):
    (pytester.path / "conftest.py").write_text("""
import pytest
from kvbench_backends.memory import MemoryBackend

class ShuffledBackend(MemoryBackend):
    def mget(self, keys):
        return super().mget(keys)[::-1]

@pytest.fixture(scope="session")
def kvbench_backend():
    return lambda: ShuffledBackend.open("memory://")
""")
    module = MDEL + "\ndef test_mget(kvbench_batch):\n    kvbench_batch('mget', 10)\n"
    code, output = run(module, "--benchmark-disable")
    assert code == 1
    assert "mget is not measured: its answers are wrong: mget gives" in output
    assert "1 failed, 1 passed" in output


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "kvbench: name a target: --kvbench-target URL, or override kvbench_backend"),
        (target("kvb://127.0.0.1:1"), "127.0.0.1:1"),
        (target("kvb+async://"), "kvb+async:// is asynchronous"),
        ((*target("memory://"), "-p", "no:benchmark"), "pytest-benchmark is disabled: remove"),
    ],
)
def test_what_is_missing_is_one_line(args, said, run):
    code, output = run(MDEL, *args)
    assert code != 0
    assert said in output
    assert "Traceback" not in output and "plugin.py:" not in output


def test_wrong_sizes_are_refused_before_anything_runs(run):
    code, output = run(MDEL, *target("memory://"), "--kvbench-batch-sizes", "10,x")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "--kvbench-batch-sizes takes numbers above 0" in output


def test_without_pytest_benchmark_its_option_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    code, output = run(MDEL, *target("memory://"), "-p", "no:benchmark", "--benchmark-only")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "pip install 'kvbench[pytest-benchmark]'" in output
