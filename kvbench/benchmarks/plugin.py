"""A pytest plugin: a store's calls as benchmarks of pytest-benchmark.

A store that kvbench has an adapter for needs no code::

    pytest --pyargs kvbench.benchmarks --benchmark-only --kvbench-target valkey://

In a project's tests, ``kvbench_batch`` measures an operation in one of its arms, and
``kvbench_store`` gives an open store and keys for any other call::

    @pytest.mark.parametrize("arm", ["individual", "batch"])
    def test_mget(kvbench_batch, arm):
        kvbench_batch("mget", 100, arm)

    def test_getdel_of_a_missing_key(benchmark, kvbench_store):
        (key,) = kvbench_store.keys(1)
        benchmark(kvbench_store.backend.getdel, key)

A backend under development is opened by the fixture ``kvbench_backend``, as for the conformance
suite (see :mod:`kvbench.conformance.plugin`, which also defines ``--kvbench-target``).

This module is loaded with every pytest of its environment, so it imports the rest when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from kvbench.backend import Backend
    from kvbench.benchmarks.store import BatchBenchmark, BenchmarkStore

_SIZES_DEFAULT = "10,100"
_MISSING = (
    "kvbench: these benchmarks need pytest-benchmark: pip install 'kvbench[pytest-benchmark]'"
)
_DISABLED = "kvbench: pytest-benchmark is disabled: remove `-p no:benchmark`"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The sizes of the ready benchmarks."""
    group = parser.getgroup("kvbench-benchmarks", "kvbench benchmarks")
    group.addoption(
        "--kvbench-batch-sizes",
        metavar="N,...",
        default=_SIZES_DEFAULT,
        help=f"keys in a batch of `--pyargs kvbench.benchmarks` [{_SIZES_DEFAULT}]",
    )
    if find_spec("pytest_benchmark") is None:
        # Otherwise pytest reports an unknown option, and not what to install.
        group.addoption("--benchmark-only", action="store_true", help="needs pytest-benchmark")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options before anything is collected."""
    if find_spec("pytest_benchmark") is None and config.getoption("benchmark_only"):
        raise pytest.UsageError(_MISSING)
    _sizes(config)


def _sizes(config: pytest.Config) -> tuple[int, ...]:
    words = config.getoption("kvbench_batch_sizes").split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise pytest.UsageError("kvbench: --kvbench-batch-sizes takes numbers above 0, e.g. 10,100")
    return tuple(dict.fromkeys([int(word) for word in words]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A ready benchmark for each batch size of the command line."""
    if "kvbench_batch_size" in metafunc.fixturenames:
        metafunc.parametrize("kvbench_batch_size", _sizes(metafunc.config))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Show pytest-benchmark that a test is a benchmark: --benchmark-only skips all others.

    ``kvbench_benchmark`` asks for its fixture only if it is there, so pytest cannot know.
    """
    names: list[str] = getattr(item, "fixturenames", [])
    if "kvbench_benchmark" in names and "benchmark" not in names:
        names.append("benchmark")


@pytest.fixture(scope="session")
def kvbench_open_backend(request: pytest.FixtureRequest) -> Iterator[tuple[str, Backend]]:
    """The target's name and its backend, open until the session ends."""
    from kvbench.benchmarks.store import open_for_benchmarks
    from kvbench.errors import KvbenchError

    target = request.config.getoption("--kvbench-target", default=None)
    given = None if target else request.getfixturevalue("kvbench_backend")
    try:
        name, backend = open_for_benchmarks(target or given)
    except KvbenchError as error:
        problem = str(error)
    else:
        problem = ""
    if problem:
        _end(request.session, problem)
    with backend:
        yield name, backend


@pytest.fixture
def kvbench_store(kvbench_open_backend: tuple[str, Backend]) -> Iterator[BenchmarkStore]:
    """The open store, with keys that no other test and no other program has.

    They are removed after the test. Those that it stores by ``stored`` have a TTL, if the store has
    TTLs, so that they expire even if this process is killed.
    """
    from kvbench.benchmarks.store import BenchmarkStore

    store = BenchmarkStore(*kvbench_open_backend)
    yield store
    store.clean()


@pytest.fixture
def kvbench_batch(
    request: pytest.FixtureRequest, kvbench_benchmark: object, kvbench_store: BenchmarkStore
) -> Callable[[str, int, str], None]:
    """A function that measures ``(operation, batch_size, arm="batch")``; call it once in a test.

    The operation is mget, mset, mdel or mexists. The arm is ``batch``, one call; ``individual``, a
    call for each key; or ``pipelined``, where the store has it. All arms of a cell do the same
    work and are one group, so that pytest-benchmark's ratio of them is the gain of batching.
    """
    from kvbench.benchmarks.store import BatchBenchmark

    config = request.config
    measure: BatchBenchmark = BatchBenchmark(
        kvbench_store,
        kvbench_benchmark,  # type: ignore[arg-type]
        config.getoption("benchmark_max_time"),
        config.getoption("benchmark_min_rounds"),
    )
    return measure


@pytest.fixture
def kvbench_benchmark(request: pytest.FixtureRequest) -> object:
    """pytest-benchmark's fixture; one line that says what to do where it is missing."""
    if not request.config.pluginmanager.hasplugin("benchmark"):
        missing = find_spec("pytest_benchmark") is None
        _stop(request.session, _MISSING if missing else _DISABLED)
    return request.getfixturevalue("benchmark")


def _end(session: pytest.Session, problem: str) -> NoReturn:
    from kvbench.foreign_text import clean

    _stop(session, f"kvbench: {clean(problem)}")


def _stop(session: pytest.Session, message: str) -> NoReturn:
    """Fail this test and end the session: every other one would say the same."""
    session.shouldfail = message
    pytest.fail(message, pytrace=False)
